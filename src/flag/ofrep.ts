import { z } from "zod";
import { digest } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";
import type { ServedFlags } from "./served-flags.ts";

/*
 * The OpenFeature Remote Evaluation Protocol (https://github.com/open-feature/protocol, service/openapi.yaml), pure:
 * a request's body in, an answer out.
 */

export interface Answer {
  readonly status: number;
  /** Absent: no body. */
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where changes are told, and how long (seconds) a client without users keeps listening. */
export const eventPath = "/ofrep/v1/sse";
const inactivityDelay = 120;

/** Not looked into: what comes from JSON is JSON, and a check of every level would end where the stack does. */
const requestSchema = z.looseObject({ context: z.custom<Context>(isObject) });
type Context = { [name: string]: Json };

/** One flag. */
export function answerOne(flags: ServedFlags, key: string, body: string): Answer {
  const context = contextOf(body);
  if (typeof context === "string") return invalid(context, { key });
  if (!flags.has(key)) {
    return {
      status: 404,
      body: { key, errorCode: "FLAG_NOT_FOUND", errorDetails: `there is no flag "${key}"` },
    };
  }
  const result = evaluated(flags, key, context);
  return { status: "errorCode" in result ? 400 : 200, body: result };
}

/** All flags; a flag that cannot be evaluated does not keep the others from their answers. */
export function answerAll(flags: ServedFlags, body: string, ifNoneMatch: string | undefined): Answer {
  const context = contextOf(body);
  if (typeof context === "string") return invalid(context, {});
  const answers = flags.names.map((key) => evaluated(flags, key, context));
  const etag = `"${digest(JSON.stringify(answers)).slice("sha256:".length)}"`;
  if (ifNoneMatch?.split(",").some((each) => each.trim().replace(/^W\//, "") === etag)) {
    return { status: 304, headers: { etag } };
  }
  const eventStreams = [
    { type: "sse", endpoint: { requestUri: eventPath }, inactivityDelaySec: inactivityDelay },
  ];
  return { status: 200, body: { flags: answers, eventStreams }, headers: { etag } };
}

function evaluated(flags: ServedFlags, key: string, context: Context): { [name: string]: Json } {
  const { value, variant, reason, errorCode, errorMessage } = flags.evaluate(key, context);
  if (errorCode !== undefined) {
    return { key, errorCode, errorDetails: errorMessage ?? "the flag cannot be evaluated" };
  }
  const metadata = flags.metadataOf(key);
  // Without a value the default in the client's own code counts.
  return {
    key,
    reason,
    ...(value !== undefined && { value }),
    ...(variant !== undefined && { variant }),
    ...(metadata !== undefined && { metadata }),
  };
}

/** What is wrong, as text, where it is none. */
function contextOf(body: string): Context | string {
  let parsed: unknown;
  try {
    // An evaluation without a context asks for what everybody gets.
    parsed = body.trim() === "" ? { context: {} } : JSON.parse(body);
  } catch {
    return "the body is not JSON";
  }
  const request = requestSchema.safeParse(parsed);
  return request.success ? request.data.context : 'the body needs "context": an object';
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(errorDetails: string, more: { readonly key?: string }): Answer {
  return { status: 400, body: { ...more, errorCode: "INVALID_CONTEXT", errorDetails } };
}
