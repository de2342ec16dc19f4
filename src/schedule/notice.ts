import { hostname } from "node:os";
import type { Environment } from "../config/environment.ts";
import { type NoticeEvent, noticeEvents } from "../config/notify-schema.ts";
import { formatDuration } from "../core/duration.ts";
import type { Json } from "../core/errors.ts";
import type { Message } from "../notifier/message.ts";
import type { NewNotice } from "../outbox/outbox.ts";
import { type Happening, noticesOf, noticeTo } from "../outbox/rules.ts";
import type { Start } from "./ledger.ts";
import type { Ending } from "./ledger-writes.ts";
import { pingTarget } from "./ping.ts";
import type { Schedule } from "./schedule.ts";

/** Who is to hear that a run has ended, and what. */
export function endingNotices(
  environment: Environment,
  schedule: Schedule,
  start: Start,
  ending: Ending,
  wasAmiss: boolean,
): NewNotice[] {
  const success = ending.state === "done";
  const kind = success ? "success" : "failure";
  const { name } = schedule;
  const key = `schedule/${name}/ping/${kind}/${ending.endedAt}`;
  const ping: NewNotice[] =
    pingTarget(schedule, kind) === undefined
      ? []
      : [{ channel: "ping", target: kind, source: name, key, subject: null, body: null }];
  if (success && !wasAmiss) return ping;
  const why = ending.message ?? `exit code ${ending.exitCode ?? "none"}`;
  return [
    ...ping,
    ...toEverybody(environment, schedule, success ? "recovered" : "failed", ending.endedAt, {
      text: success
        ? `schedule ${subject(schedule)} is well again: done ${iso(ending.endedAt)}`
        : `schedule ${subject(schedule)} failed: ${why}${ending.hint === null ? "" : ` (${ending.hint})`}`,
      command: ending.run === null ? "ops schedule list" : `ops runs show ${ending.run}`,
      data: {
        dueAt: iso(start.dueAt),
        startedAt: iso(start.startedAt),
        endedAt: iso(ending.endedAt),
        run: ending.run,
        exitCode: ending.exitCode,
        ...(success ? {} : { message: why, hint: ending.hint }),
      },
    }),
  ];
}

/** Nobody has seen a success for too long. Times in milliseconds since 1970. */
export function silenceNotices(
  environment: Environment,
  schedule: Schedule,
  since: number,
  lastSuccess: number | null,
  now: number,
): NewNotice[] {
  const last = lastSuccess === null ? "there never was one" : `the last one was at ${iso(lastSuccess)}`;
  return toEverybody(environment, schedule, "silent", now, {
    text: `schedule ${subject(schedule)} is silent: no success for ${formatDuration(now - since)} (limit ${formatDuration(schedule.overdueAfter)}), ${last}`,
    command: "ops schedule list",
    data: {
      lastSuccessAt: lastSuccess === null ? null : iso(lastSuccess),
      overdueAfterMs: schedule.overdueAfter,
    },
  });
}

interface Said {
  readonly text: string;
  readonly command: string;
  /** What programs get beside the text. */
  readonly data: { readonly [key: string]: Json };
}

const titles = { failed: "failed", recovered: "is well again", silent: "is silent" } as const;

/** Those whom the schedule names, and those whom rules name; each once. */
function toEverybody(
  environment: Environment,
  schedule: Schedule,
  event: "failed" | "recovered" | "silent",
  at: number,
  { text, command, data }: Said,
): NewNotice[] {
  const { name, settings } = schedule;
  const full: NoticeEvent = `schedule.${event}`;
  const message: Message = {
    event: full,
    severity: noticeEvents[full].severity,
    title: `schedule ${name} ${titles[event]} on ${schedule.environment}`,
    text,
    environment: schedule.environment,
    host: hostname(),
    at: iso(at),
    subject: `schedule/${schedule.environment}/${name}`,
    incident: event === "recovered" ? "resolve" : "trigger",
    command,
    facts: [
      { name: "schedule", value: name },
      { name: "runs", value: settings.uses ?? settings.runbook ?? "" },
    ],
    // Programs know these events by their short names, from before there were others.
    data: { event, schedule: name, ...data },
  };
  const happening: Happening = {
    message,
    source: name,
    key: `schedule/${name}/${event}/${at}`,
    runbook: settings.runbook === undefined ? undefined : name,
    operation: settings.uses,
  };
  const named = settings.notify.map((target) => noticeTo(environment, target, happening, message));
  const others = noticesOf(environment, happening).filter(({ target }) => !settings.notify.includes(target));
  return [...named, ...others];
}

function subject({ name, environment }: Schedule): string {
  return `${name} (${environment} on ${hostname()})`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
