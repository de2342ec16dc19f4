import { type Json, OpsError } from "../core/errors.ts";
import { redact, redactJson } from "../core/redaction.ts";
import { type HttpResponse, sendRequest, showUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";
import { type ExpectedStatus, formatExpectedStatus, isExpectedStatus } from "../http/status.ts";
import { numberAt, valuesAt } from "../json-http/path.ts";
import type { OperationContext } from "../run/context.ts";

const usualStatus = [200, 399] as const;
/** A health endpoint's answer; what lies beyond is not searched for anything. */
const bodyLimit = 1_048_576;
/** Characters of a value from the body that are shown. */
const shownLength = 200;

/** One request and what is wrong with its answer. */
export type Attempt = {
  status: number | null;
  durationMs: number;
  /** Null where the answer is a good one. */
  problem: string | null;
  /** Where a redirect leads, without its query. */
  location?: string;
  /** What the JSONPath finds: one value, or the sum of several numbers. */
  found?: Json;
  /** Undefined: there was no answer. */
  bytes?: Uint8Array;
  /** Whether the body goes on behind them. */
  cut?: boolean;
};

export interface Expectations {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status?: ExpectedStatus | undefined;
  readonly redirect: "pass" | "fail";
  readonly "body-contains"?: string | undefined;
  readonly "json-path"?: string | undefined;
  readonly equals?: string | number | boolean | null | undefined;
  /** Milliseconds */
  readonly timeout: number;
}

/** Without an answer a user of the service would see the same failure, so these are measured facts. */
const measuredFailures = new Set(["E_HTTP_REFUSED", "E_HTTP_TIMEOUT", "E_HTTP_TLS", "E_HTTP_BROKEN"]);

/**
 * Asks once. Throws where nothing was measured: a name that does not resolve, a secret that is not there, and
 * (`E_JSON_VALUE`) a number that is not in a good answer.
 */
export async function attemptRequest(context: OperationContext, wanted: Expectations): Promise<Attempt> {
  const headers = await revealHeaders(wanted.headers, context.environment.directory);
  const { method, url, timeout } = wanted;
  const started = context.clock.elapsed();
  try {
    const response = await sendRequest({ method, url, headers, timeout, signal: context.signal, bodyLimit });
    const { status, durationMs, bytes, cut } = response;
    const location = locationOf(response, url);
    const asked = { status, durationMs, bytes, cut, ...(location !== undefined && { location }) };
    const problem = problemOf(response, wanted, location);
    const path = wanted["json-path"];
    if (problem !== null || path === undefined) return { ...asked, problem };
    return { ...asked, ...foundAt(response, path, wanted.equals) };
  } catch (error) {
    if (!(error instanceof OpsError) || !measuredFailures.has(error.code)) throw error;
    const durationMs = Math.round(context.clock.elapsed() - started);
    return { status: null, durationMs, problem: error.message };
  }
}

function problemOf(
  { status, body }: HttpResponse,
  wanted: Expectations,
  location: string | undefined,
): string | null {
  if (!isExpectedStatus(status, wanted.status, usualStatus))
    return `status ${status}, expected ${formatExpectedStatus(wanted.status, usualStatus)}`;
  if (wanted.redirect === "fail" && status >= 300 && status < 400)
    return `HTTP ${status} sends one ${location === undefined ? "elsewhere" : `to ${location}`}`;
  const text = wanted["body-contains"];
  if (text !== undefined && !body.includes(text))
    return `HTTP ${status}, the body does not contain ${JSON.stringify(text)}`;
  return null;
}

function foundAt(
  response: HttpResponse,
  path: string,
  equals: Expectations["equals"],
): Pick<Attempt, "problem" | "found"> {
  const answered = `HTTP ${response.status}`;
  const document = parsed(response);
  if (equals === undefined) {
    if (document === undefined) {
      const why = response.cut ? "is longer than 1 MiB" : "is no JSON";
      throw new OpsError("E_JSON_VALUE", `${answered}, and the body ${why}`, { retryable: false });
    }
    const values = valuesAt(document.json, path);
    const isYesOrNo = values.length > 0 && values.every((each) => typeof each === "boolean");
    return { problem: null, found: isYesOrNo ? values.every((each) => each) : numberAt(document.json, path) };
  }
  const expected = `expected ${JSON.stringify(equals)}`;
  if (document === undefined) return { problem: `${answered}, the body is no JSON, ${expected} at ${path}` };
  const values = valuesAt(document.json, path);
  const other = values.findIndex((each) => each !== equals);
  if (values.length > 0 && other === -1) return { problem: null, found: equals };
  if (values.length === 0) return { problem: `${answered}, ${path} finds nothing, ${expected}` };
  const text = redact(JSON.stringify(values[other])).slice(0, shownLength);
  const found = typeof values[other] === "object" ? text : redactJson(values[other] as Json);
  return {
    problem: `${answered}, ${path} is ${text}, ${expected}`,
    found: typeof found === "string" ? found.slice(0, shownLength) : found,
  };
}

/** Undefined where the body is no JSON, or not all of it was read. */
function parsed({ body, cut }: HttpResponse): { readonly json: unknown } | undefined {
  if (cut) return undefined;
  try {
    return { json: JSON.parse(body) as unknown };
  } catch {
    return undefined;
  }
}

function locationOf({ headers: { location } }: HttpResponse, url: string): string | undefined {
  if (location === undefined || !URL.canParse(location, url)) return undefined;
  const target = new URL(location, url);
  return target.protocol.startsWith("http") ? showUrl(target.href) : `${target.protocol}…`;
}
