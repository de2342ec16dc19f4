import { Secret } from "../config/secret.ts";
import { exchange } from "../notifier/http-post.ts";
import type { Sent } from "../notifier/sent.ts";
import type { OperationContext } from "../run/context.ts";
import type { Schedule } from "./schedule.ts";

export type PingKind = "start" | "success" | "failure";

/** What is added to the path of a single URL, as healthchecks.io and others want it. */
const suffixes: Record<PingKind, string> = { start: "/start", success: "", failure: "/fail" };

/** As it is configured, a reference perhaps; undefined where nobody is to be asked. */
export function pingTarget(schedule: Schedule, kind: PingKind): string | undefined {
  const { ping } = schedule.settings;
  return typeof ping === "object" ? ping[kind] : ping;
}

/** Asks the dead man's switch (GET). What went wrong is told without the URL's path, which is what lets one in. */
export async function sendPing(
  context: OperationContext,
  schedule: Schedule,
  kind: PingKind,
  signal?: AbortSignal,
): Promise<Sent> {
  const target = pingTarget(schedule, kind);
  if (target === undefined) return { sent: true, answer: "nobody to be asked" };
  return exchange(
    `ping ${kind} of ${schedule.name}`,
    async () => {
      const secret = new Secret(target, context.environment.directory);
      if (typeof schedule.settings.ping === "object") return { url: secret };
      const url = withSuffix(await secret.reveal(), suffixes[kind]);
      return { url: new Secret(url, context.environment.directory) };
    },
    signal,
  );
}

function withSuffix(text: string, suffix: string): string {
  if (suffix === "" || !URL.canParse(text)) return text;
  const url = new URL(text);
  url.pathname = url.pathname.replace(/\/$/, "") + suffix;
  return url.href;
}
