import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError, UsageError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { timeoutSignal } from "../core/timer.ts";

export interface HttpRequest {
  readonly method: string;
  /** `http:` or `https:`; a user and password in it become basic authentication. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds for the whole exchange, body included. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the body that are read; the rest is left on the wire. Default: 64 KiB. */
  readonly bodyLimit?: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The same as it came, for a digest of it. */
  readonly bytes: Uint8Array;
  /** True where the body was longer than `bodyLimit`. */
  readonly cut: boolean;
  /** Milliseconds from the first byte sent to the last one read. */
  readonly durationMs: number;
}

/** A reason why there was no answer, and whether the server or the question is to blame. */
export type HttpFailure =
  | "E_HTTP_REFUSED"
  | "E_HTTP_TIMEOUT"
  | "E_HTTP_TLS"
  | "E_HTTP_BROKEN"
  | "E_HTTP_NAME";

/**
 * One request and its answer, whatever its status. Redirects are answers too and are not followed: a followed one
 * changes the method and carries headers elsewhere. Throws `E_HTTP_URL` or `E_HTTP_REQUEST` (usage), an OpsError whose code is an
 * `HttpFailure`, or the signal's reason.
 */
export async function sendRequest(request: HttpRequest): Promise<HttpResponse> {
  const { url, authorization } = splitCredentials(parseHttpUrl(request.url));
  const prepared = prepare(request, url, authorization);
  request.signal?.throwIfAborted();
  const timeout = timeoutSignal(request.timeout);
  const signal = request.signal === undefined ? timeout : AbortSignal.any([request.signal, timeout]);
  const started = performance.now();
  try {
    const response = await fetch(prepared, { signal });
    const { bytes, cut } = await readBody(response, request.bodyLimit ?? 65_536);
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: new TextDecoder().decode(bytes),
      bytes,
      cut,
      durationMs: Math.round(performance.now() - started),
    };
  } catch (error) {
    if (request.signal?.aborted === true) throw request.signal.reason;
    throw failure(request, error, timeout.aborted);
  }
}

function prepare(request: HttpRequest, url: URL, authorization: Record<string, string>): Request {
  try {
    return new Request(url, {
      method: request.method,
      headers: { "user-agent": "ops", ...authorization, ...request.headers },
      redirect: "manual",
      ...(request.body === undefined ? {} : { body: request.body }),
    });
  } catch (error) {
    const cause = redact(causeText(error) ?? "");
    const message = `${request.method} ${showUrl(request.url)} cannot be sent as it is written`;
    throw new UsageError("E_HTTP_REQUEST", message, { cause, hint: "look at its method, headers and body" });
  }
}

/** Throws `E_HTTP_URL`, without the query, which may hold a token. */
export function parseHttpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    const shown = redact(text.replace(/[?#].*$/s, ""));
    throw new UsageError("E_HTTP_URL", `"${shown}" is not the URL of an HTTP server`, {
      hint: "write it as https://host/path",
    });
  }
  return url;
}

/** For messages and plans: no password, no query. */
export function showUrl(text: string): string {
  const url = parseHttpUrl(text);
  return redact(`${url.origin}${url.pathname}${url.search === "" ? "" : "?…"}`);
}

function splitCredentials(url: URL): { url: URL; authorization: Record<string, string> } {
  if (url.username === "" && url.password === "") return { url, authorization: {} };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const plain = new URL(url);
  plain.username = "";
  plain.password = "";
  return { url: plain, authorization: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}

async function readBody(response: Response, limit: number): Promise<{ bytes: Uint8Array; cut: boolean }> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    // Leaving the loop cancels the body.
    if (length > limit) break;
  }
  return { bytes: Buffer.concat(chunks).subarray(0, limit), cut: length > limit };
}

function failure(request: HttpRequest, error: unknown, timedOut: boolean): OpsError {
  const where = `${request.method} ${showUrl(request.url)}`;
  if (timedOut) {
    return new OpsError(
      "E_HTTP_TIMEOUT",
      `${where} was not answered within ${formatDuration(request.timeout)}`,
    );
  }
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  // The Fetch standard keeps clients from ports of other protocols; nothing was sent.
  if (cause instanceof Error && cause.message === "bad port") {
    const { port } = parseHttpUrl(request.url);
    return new UsageError("E_HTTP_URL", `${where}: port ${port} belongs to another protocol`, {
      hint: "HTTP clients refuse to ask it (fetch.spec.whatwg.org/#port-blocking): serve it on another port",
    });
  }
  const code = errorCode(cause);
  const options = { cause: redact(causeText(cause) ?? "") };
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new OpsError("E_HTTP_NAME", `${where}: the host name cannot be resolved`, options);
  }
  if (/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/.test(code)) {
    return new OpsError("E_HTTP_REFUSED", `${where}: the connection was refused`, options);
  }
  if (/TLS|SSL|CERT|SELF_SIGNED|UNABLE_TO_|^UNSPECIFIED$/.test(code)) {
    return new OpsError("E_HTTP_TLS", `${where}: no secure connection (${code})`, options);
  }
  return new OpsError(
    "E_HTTP_BROKEN",
    `${where}: the connection broke before the answer was complete`,
    options,
  );
}

/** Where several addresses were tried, the error of the first one. */
function errorCode(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error && "code" in first ? String(first.code) : "";
}
