import { hostname } from "node:os";
import { formatDuration } from "../core/duration.ts";
import type { Json } from "../core/errors.ts";
import type { Start } from "./ledger.ts";
import type { Ending, NewNotice } from "./ledger-writes.ts";
import { pingTarget } from "./ping.ts";
import type { Schedule } from "./schedule.ts";

/** Who is to hear that a run has ended, and what. */
export function endingNotices(
  schedule: Schedule,
  start: Start,
  ending: Ending,
  wasAmiss: boolean,
): NewNotice[] {
  const success = ending.state === "done";
  const kind = success ? "success" : "failure";
  const ping: NewNotice[] =
    pingTarget(schedule, kind) === undefined ? [] : [{ channel: "ping", target: kind, body: null }];
  if (success && !wasAmiss) return ping;
  const why = ending.message ?? `exit code ${ending.exitCode ?? "none"}`;
  return [
    ...ping,
    ...toEverybody(schedule, success ? "recovered" : "failed", ending.endedAt, {
      text: success
        ? `schedule ${subject(schedule)} is well again: done ${iso(ending.endedAt)}`
        : `schedule ${subject(schedule)} failed: ${why}${ending.hint === null ? "" : ` (${ending.hint})`}`,
      dueAt: iso(start.dueAt),
      startedAt: iso(start.startedAt),
      endedAt: iso(ending.endedAt),
      run: ending.run,
      exitCode: ending.exitCode,
      ...(success ? {} : { message: why, hint: ending.hint }),
    }),
  ];
}

/** Nobody has seen a success for too long. Times in milliseconds since 1970. */
export function silenceNotices(
  schedule: Schedule,
  since: number,
  lastSuccess: number | null,
  now: number,
): NewNotice[] {
  const last = lastSuccess === null ? "there never was one" : `the last one was at ${iso(lastSuccess)}`;
  return toEverybody(schedule, "silent", now, {
    text: `schedule ${subject(schedule)} is silent: no success for ${formatDuration(now - since)} (limit ${formatDuration(schedule.overdueAfter)}), ${last}`,
    lastSuccessAt: lastSuccess === null ? null : iso(lastSuccess),
    overdueAfterMs: schedule.overdueAfter,
  });
}

function toEverybody(
  schedule: Schedule,
  event: "failed" | "recovered" | "silent",
  at: number,
  rest: { readonly text: string; readonly [key: string]: Json },
): NewNotice[] {
  const { text, ...more } = rest;
  const { name, environment } = schedule;
  const body = { text, event, schedule: name, environment, host: hostname(), at: iso(at), ...more };
  return schedule.settings.notify.map((target) => ({ channel: "notification", target, body }));
}

function subject({ name, environment }: Schedule): string {
  return `${name} (${environment} on ${hostname()})`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
