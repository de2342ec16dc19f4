import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { type Json, OpsError, UsageError } from "../core/errors.ts";
import { redact, redactJson } from "../core/redaction.ts";
import { duration } from "../core/schema.ts";
import { type HttpResponse, sendRequest, showUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";
import { type ExpectedStatus, formatExpectedStatus, isExpectedStatus, statusInput } from "../http/status.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Operation } from "../run/operation.ts";

const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] as const;
/** Safe methods change nothing on the server (RFC 9110, 9.2.1). */
const safe: readonly string[] = ["GET", "HEAD", "OPTIONS"];
const success = [200, 299] as const;

const headers = () =>
  z
    .record(z.string(), z.string())
    .default({})
    .describe("Headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME");
const body = () =>
  z
    .union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())])
    .optional()
    .describe("Body: text, or a mapping or list that is sent as JSON");

type Message = {
  readonly url: string;
  readonly method: (typeof methods)[number];
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Record<string, unknown> | unknown[] | undefined;
};

/** At least once: a resumed run sends a request again whose answer was not journaled. */
const request = defineOperation({
  name: "http.request",
  summary: "Send an HTTP request; sent again if ops was killed before its answer came",
  example: "http request https://deploy.example.com/hooks/started --method POST --body '{\"version\":2}'",
  effect: "change",
  input: z.strictObject({
    url: z.string().describe("Where it goes: https://host/path; redirects are not followed"),
    method: z.enum(methods).default("GET").describe("Method of the request"),
    headers: headers(),
    body: body(),
    "expect-status": statusInput().optional(),
    timeout: duration("How long the whole answer may take").prefault("30s"),
    undo: z
      .strictObject({
        url: z.string().describe("Where it goes"),
        method: z.enum(methods).default("POST").describe("Method of the request"),
        headers: headers(),
        body: body(),
      })
      .optional()
      .describe("The request that takes it back; it may be sent more than once"),
  }),
  positional: ["url"],
  output: z.object({
    status: z.number(),
    body: (z.unknown() as z.ZodType<Json>).describe(
      "JSON where the answer is JSON, else text; at most 64 KiB",
    ),
    durationMs: z.number(),
  }),
  observe: async (context, input) => {
    const messages: Message[] = input.undo === undefined ? [input] : [input, input.undo];
    // A mistake in the request, or a secret that is not there, shows in the plan.
    for (const each of messages) {
      showUrl(each.url);
      if (each.body !== undefined && safe.includes(each.method)) {
        throw new UsageError("E_HTTP_REQUEST", `A ${each.method} request has no body`, {
          hint: "add method: POST, or take the body out",
        });
      }
      await revealHeaders(each.headers, context.environment.directory);
    }
    return {};
  },
  plan: (_before, input) => [
    {
      target: `http:${new URL(showUrl(input.url)).host}`,
      action: "run",
      summary: `send ${input.method} ${showUrl(input.url)}`,
    },
  ],
  apply: async (context, input, _before, report) => {
    report.progress({ message: `${input.method} ${showUrl(input.url)}` });
    const response = await send(context, input, input.timeout);
    requireStatus(input, response, input["expect-status"]);
    return { status: response.status, body: parsedBody(response), durationMs: response.durationMs };
  },
  undo: async (context, input) => {
    if (input.undo === undefined) {
      const shown = `${input.method} ${showUrl(input.url)}`;
      return safe.includes(input.method)
        ? { undone: "kept", note: `${shown} changes nothing` }
        : { undone: false, note: `${shown} has no "undo": see what it did` };
    }
    const response = await send(context, input.undo, input.timeout);
    // What a second DELETE finds gone is what it was to delete.
    const gone = input.undo.method === "DELETE" && [404, 410].includes(response.status);
    if (!gone) requireStatus(input.undo, response, undefined);
    return { undone: true, note: `sent ${input.undo.method} ${showUrl(input.undo.url)}: ${response.status}` };
  },
  render: ({ status, body: answer, durationMs }) => {
    const text = typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
    return `HTTP ${status} in ${formatDuration(durationMs)}${text === "" ? "" : `\n${text}`}`;
  },
});

async function send(context: OperationContext, message: Message, timeout: number): Promise<HttpResponse> {
  const revealed = await revealHeaders(message.headers, context.environment.directory);
  const typed = Object.keys(revealed).some((each) => each.toLowerCase() === "content-type");
  const { body: given } = message;
  const text = given === undefined || typeof given === "string" ? given : JSON.stringify(given);
  const json = given !== undefined && (typeof given !== "string" || isJson(given));
  return sendRequest({
    method: message.method,
    url: message.url,
    headers: json && !typed ? { "content-type": "application/json", ...revealed } : revealed,
    timeout,
    signal: context.signal,
    ...(text === undefined ? {} : { body: text }),
  });
}

/** An object or a list as text, as a command line gives it. */
function isJson(text: string): boolean {
  return /^\s*[[{]/.test(text) && parseJson(text) !== undefined;
}

function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function parsedBody(response: HttpResponse): Json {
  const type = response.headers["content-type"] ?? "";
  const json = /\bjson\b/i.test(type) && !response.cut ? parseJson(response.body) : undefined;
  return json === undefined ? redact(response.body) : redactJson(json);
}

/** Throws `E_HTTP_STATUS`; worth a retry where the server says so (408, 429, 5xx). */
function requireStatus(message: Message, response: HttpResponse, expected: ExpectedStatus | undefined): void {
  const { status } = response;
  if (isExpectedStatus(status, expected, success)) return;
  const location = response.headers.location;
  const answer = redact(response.body.slice(0, 500).trim());
  throw new OpsError(
    "E_HTTP_STATUS",
    `${message.method} ${showUrl(message.url)} answered ${status}, expected ${formatExpectedStatus(expected, success)}`,
    {
      ...(answer === "" ? {} : { cause: answer }),
      ...(location === undefined || status < 300 || status > 399
        ? {}
        : { hint: `redirects are not followed: write the URL it points to (${redact(location)})` }),
      details: { status, body: parsedBody(response), durationMs: response.durationMs },
      retryable: status >= 500 || status === 408 || status === 429,
    },
  );
}

export const operations: readonly Operation[] = [request];
