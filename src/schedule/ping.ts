import { Secret } from "../config/secret.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { sendRequest, showUrl } from "../http/client.ts";
import type { OperationContext } from "../run/context.ts";
import type { Schedule } from "./schedule.ts";

export type PingKind = "start" | "success" | "failure";

const timeout = 10_000;
/** What is added to the path of a single URL, as healthchecks.io and others want it. */
const suffixes: Record<PingKind, string> = { start: "/start", success: "", failure: "/fail" };

/** As it is configured, a reference perhaps; undefined where nobody is to be asked. */
export function pingTarget(schedule: Schedule, kind: PingKind): string | undefined {
  const { ping } = schedule.settings;
  return typeof ping === "object" ? ping[kind] : ping;
}

/**
 * Asks the dead man's switch (GET). Returns what went wrong, without the URL's path, which is what lets one in;
 * undefined where nothing did.
 */
export async function sendPing(
  context: OperationContext,
  schedule: Schedule,
  kind: PingKind,
): Promise<string | undefined> {
  const target = pingTarget(schedule, kind);
  if (target === undefined) return undefined;
  return problemOf(`ping ${kind} of ${schedule.name}`, async () => {
    const url = await new Secret(target, context.environment.directory).reveal();
    return { url: typeof schedule.settings.ping === "object" ? url : withSuffix(url, suffixes[kind]) };
  });
}

export interface Message {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with POST. */
  readonly body?: string;
}

/** Sends it and says what went wrong, if anything did. */
export async function problemOf(what: string, message: () => Promise<Message>): Promise<string | undefined> {
  let shown = "";
  try {
    const { url, headers, body } = await message();
    shown = showUrl(url);
    const place = new URL(url).origin;
    const response = await sendRequest({
      method: body === undefined ? "GET" : "POST",
      url,
      timeout,
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body }),
    }).catch((error: unknown) => {
      if (!(error instanceof OpsError)) throw error;
      throw new OpsError("E_SCHEDULE_PING", error.message.replaceAll(shown, place));
    });
    return response.status >= 200 && response.status <= 299
      ? undefined
      : `${what}: ${place} answered ${response.status} after ${formatDuration(response.durationMs)}`;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return `${what}: ${error.message}`;
  }
}

function withSuffix(text: string, suffix: string): string {
  if (suffix === "" || !URL.canParse(text)) return text;
  const url = new URL(text);
  url.pathname = url.pathname.replace(/\/$/, "") + suffix;
  return url.href;
}
