import type { Secret } from "../config/secret.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { mask, redact } from "../core/redaction.ts";
import { type HttpResponse, sendRequest, showUrl } from "../http/client.ts";
import { shortened } from "./message.ts";
import type { Sent } from "./sent.ts";

const timeout = 10_000;
const longestRetryAfter = 3_600_000;
/** Characters of a receiver's own words that are kept. */
const wordsLength = 200;
/** What is wrong with the notice itself stays wrong. */
const refused = [400, 413, 422];

export interface HttpMessage {
  readonly url: Secret;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with POST; without it the URL is asked with GET. */
  readonly body?: string;
}

/**
 * Sends it once. The URL's path, which is often what lets one in, is never in what comes back; of the answer's body a
 * little is.
 */
export async function exchange(
  what: string,
  prepare: () => Promise<HttpMessage>,
  signal?: AbortSignal,
): Promise<Sent> {
  let shown = "";
  try {
    const message = await prepare();
    const url = await message.url.reveal();
    shown = showUrl(url);
    const place = new URL(url).origin;
    const { headers, body } = message;
    const response = await sendRequest({
      method: body === undefined ? "GET" : "POST",
      url,
      timeout,
      signal,
      bodyLimit: 2048,
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body }),
    }).catch((error: unknown) => {
      if (!(error instanceof OpsError)) throw error;
      throw new OpsError("E_NOTICE", error.message.replaceAll(shown, place));
    });
    return outcome(what, url, response);
  } catch (error) {
    if (signal?.aborted === true) return { sent: false, problem: `${what}: no answer in time` };
    if (!(error instanceof OpsError)) throw error;
    return { sent: false, problem: `${what}: ${error.message}` };
  }
}

function outcome(what: string, url: string, response: HttpResponse): Sent {
  const { status, durationMs } = response;
  if (status >= 200 && status <= 299)
    return { sent: true, answer: `${status} after ${formatDuration(durationMs)}` };
  const words = wordsOf(response, url);
  const said = words === "" ? "" : `: ${words}`;
  const problem = `${what}: ${new URL(url).origin} answered ${status} after ${formatDuration(durationMs)}${said}`;
  const retryAfter = retryAfterOf(response.headers["retry-after"]);
  return {
    sent: false,
    problem,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(refused.includes(status) ? { final: true as const } : {}),
  };
}

/** One line of the body, without the URL's own path in it, nor a long part of that: a token. */
function wordsOf({ body }: HttpResponse, url: string): string {
  const { pathname, search, searchParams } = new URL(url);
  const tokens = [...pathname.split("/"), ...searchParams.values()].filter((each) => each.length >= 8);
  const secrets = [...[pathname, search].filter((each) => each.length > 3), ...tokens];
  const plain = secrets.reduce((text, each) => text.replaceAll(each, mask), body);
  const line = plain
    .replace(/<[^>]*>/g, " ")
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
  return shortened(redact(line), wordsLength);
}

/** Seconds or a date (RFC 9110, 10.2.3) in milliseconds from now, at most an hour. */
function retryAfterOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestRetryAfter) : undefined;
}
