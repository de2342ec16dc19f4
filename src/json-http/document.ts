import type { Secret } from "../config/secret.ts";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { sendRequest, showUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";

export interface JsonRequest {
  readonly url: string;
  /** A value may be a reference, also after an authentication scheme: `Bearer env:TOKEN`. */
  readonly headers: Readonly<Record<string, string>>;
  /** For basic authentication; undefined: none, or the one in the URL. */
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Milliseconds for the whole answer. */
  readonly timeout: number;
  /** What relative paths of secrets begin at. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
}

const bodyLimit = 4_194_304;

/**
 * What an endpoint answers, as JSON. Throws like `sendRequest`, `E_SECRET`, and `E_JSON_SOURCE` where the status is no
 * success or the body no JSON.
 */
export async function fetchJson(request: JsonRequest): Promise<unknown> {
  const { user, password, timeout, signal, directory } = request;
  const url = user === undefined ? request.url : withCredentials(request.url, user, await password?.reveal());
  const headers = { accept: "application/json", ...(await revealHeaders(request.headers, directory)) };
  const response = await sendRequest({ method: "GET", url, headers, timeout, signal, bodyLimit });
  const where = showUrl(request.url);
  if (response.status < 200 || response.status > 299) {
    throw new OpsError("E_JSON_SOURCE", `GET ${where} answered ${response.status}`, {
      hint:
        response.status === 401 || response.status === 403
          ? 'set "user:" and "password:", or headers: { authorization: Bearer env:NAME }, of the metrics in .opsrc'
          : "see that it is the URL of the counts; redirects are not followed",
      retryable: response.status >= 500 || response.status === 429,
    });
  }
  if (response.cut) {
    throw new OpsError("E_JSON_SOURCE", `GET ${where} answered with more than 4 MiB`, {
      hint: "name an endpoint that answers with counts only",
      retryable: false,
    });
  }
  try {
    return JSON.parse(response.body);
  } catch {
    throw new OpsError("E_JSON_SOURCE", `GET ${where} did not answer with JSON`, {
      cause: redact(response.body.replace(/\s+/g, " ").slice(0, 120)),
      hint: "see that it is the URL of the counts",
    });
  }
}

function withCredentials(text: string, user: string, password = ""): string {
  const url = new URL(text);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.href;
}
