import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { nextStart } from "./due.ts";
import { Ledger, type Start } from "./ledger.ts";
import { type Schedule, schedulesOf } from "./schedule.ts";
import { ageOf } from "./silence.ts";
import { timingOf } from "./timing.ts";

/** Without a tick for so long, cron or the timer does not call: milliseconds. */
const deadAfter = 5 * 60_000;

const row = z.object({
  name: z.string(),
  cron: z.string(),
  timeZone: z.string(),
  runs: z.string().describe("The operation or the runbook"),
  next: z.array(z.string()).describe("The next three times that are due, UTC"),
  startsAt: z.string().nullable().describe("The next start, with its jitter, UTC"),
  last: z
    .object({
      dueAt: z.string(),
      outcome: z.enum(["running", "done", "failed"]),
      startedAt: z.string(),
      endedAt: z.string().nullable(),
      run: z.string().nullable(),
      exitCode: z.number().nullable(),
      message: z.string().nullable(),
      hint: z.string().nullable(),
    })
    .nullable()
    .describe("What ran last"),
  lastSuccessAt: z.string().nullable(),
  overdueAfterMs: z.number().nullable(),
  overdue: z.boolean(),
});

const output = z.object({
  environment: z.string(),
  at: z.string().describe("When this was looked at, UTC"),
  lastTickAt: z.string().nullable().describe("When run-due was last called, UTC"),
  ticking: z.boolean().describe("Whether run-due was called in the last five minutes"),
  schedules: z.array(row),
  undelivered: z.array(
    z.object({
      schedule: z.string().describe("The schedule or the run"),
      to: z.string(),
      since: z.string(),
      problem: z.string().nullable(),
    }),
  ),
});

type Row = z.output<typeof row>;

export const list = defineOperation({
  name: "schedule.list",
  summary: "Schedules with their next and last runs",
  example: "schedule list",
  effect: "read",
  input: z.strictObject({}),
  output,
  observe: async () => ({}),
  plan: () => [],
  apply: async (context) => {
    const { environment, stateDirectory } = context;
    const now = context.clock.now();
    const ledger = Ledger.exists(stateDirectory)
      ? Ledger.openToRead(stateDirectory, environment.name)
      : undefined;
    try {
      const lastTick = ledger?.lastTick();
      return {
        environment: environment.name,
        at: now.toISOString(),
        lastTickAt: lastTick === undefined ? null : iso(lastTick),
        ticking: lastTick !== undefined && now.getTime() - lastTick < deadAfter,
        schedules: schedulesOf(environment, [], now).map((each) => rowOf(each, ledger, now)),
        undelivered: (ledger?.outbox.notices("waiting") ?? []).map(
          ({ source, channel, target, createdAt, problem }) => ({
            schedule: source,
            to: `${channel} ${target}`,
            since: iso(createdAt),
            problem,
          }),
        ),
      };
    } finally {
      ledger?.close();
    }
  },
  render: (result) => {
    if (result.schedules.length === 0) return 'no schedules: add one under "schedules:" in .opsrc';
    const rows = result.schedules.map((each) => [
      each.name,
      `${each.cron} (${each.timeZone})`,
      shownNext(each, result.at),
      shownLast(each),
      each.overdue ? "OVERDUE" : "",
    ]);
    const notes = result.ticking
      ? []
      : [
          result.lastTickAt === null
            ? "! run-due was never called here: ops schedule install --cron"
            : `! run-due was last called ${result.lastTickAt}: cron or the timer does not call it`,
        ];
    const waiting = result.undelivered.map(
      ({ schedule, to, problem }) =>
        `! ${schedule}: ${to} waits to be told${problem === null ? "" : `: ${problem}`}`,
    );
    return [aligned([["SCHEDULE", "WHEN", "NEXT", "LAST", ""], ...rows]), ...notes, ...waiting].join("\n");
  },
});

function rowOf(schedule: Schedule, ledger: Ledger | undefined, now: Date): Row {
  const { settings, cron, overdueAfter } = schedule;
  const age = ledger === undefined ? undefined : ageOf(ledger, schedule, now.getTime());
  const last = ledger?.lastRun(schedule.name, now.getTime());
  const next = nextStart(timingOf(schedule), now);
  return {
    name: schedule.name,
    cron: settings.cron,
    timeZone: settings["time-zone"],
    runs: settings.uses ?? settings.runbook ?? "",
    next: cron.next(now, 3).map((each) => each.toISOString()),
    startsAt: next === undefined ? null : iso(next.startsAt),
    last: last === undefined ? null : shownStart(last),
    lastSuccessAt: age?.lastSuccess === undefined || age.lastSuccess === null ? null : iso(age.lastSuccess),
    overdueAfterMs: Number.isFinite(overdueAfter) ? overdueAfter : null,
    overdue: age?.overdue ?? false,
  };
}

function shownStart(start: Start): NonNullable<Row["last"]> {
  return {
    dueAt: iso(start.dueAt),
    outcome: start.state === "running" ? "running" : start.state === "done" ? "done" : "failed",
    startedAt: iso(start.startedAt),
    endedAt: start.endedAt === null ? null : iso(start.endedAt),
    run: start.run,
    exitCode: start.exitCode,
    message: start.message,
    hint: start.hint,
  };
}

/** In the schedule's own time zone, and how far away it is. */
function shownNext({ startsAt, timeZone }: Row, at: string): string {
  if (startsAt === null) return "never";
  const there = new Intl.DateTimeFormat("sv-SE", {
    timeZone,
    dateStyle: "short",
    timeStyle: "short",
  });
  return `${there.format(new Date(startsAt))} (in ${formatDuration(Date.parse(startsAt) - Date.parse(at))})`;
}

function shownLast({ last }: Row): string {
  if (last === null) return "-";
  const when = (last.endedAt ?? last.startedAt).slice(0, 16).replace("T", " ");
  if (last.outcome === "running") return `running since ${when} UTC`;
  const why = last.outcome === "failed" && last.message !== null ? `: ${last.message}` : "";
  return `${last.outcome} ${when} UTC${why}`;
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((each) => each[column]?.length ?? 0)),
  );
  return rows
    .map((each) =>
      each
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
