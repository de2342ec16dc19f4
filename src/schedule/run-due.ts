import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { errorRecord, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { thisProcess } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import { LeftBehindRuns } from "../run/left-behind.ts";
import { defineOperation } from "../run/operation.ts";
import { type Decision, decide } from "./due.ts";
import { Ledger, type Start } from "./ledger.ts";
import { claim, type Ending, finish, recordMissed, recordTick, register } from "./ledger-writes.ts";
import { endingNotices } from "./notice.ts";
import { type Schedule, schedulesOf } from "./schedule.ts";
import { runScheduled } from "./scheduled-run.ts";
import { settle } from "./settle.ts";
import { noticeSilence } from "./silence.ts";
import { tellAll } from "./telling.ts";
import { timingOf } from "./timing.ts";

const ended = z.object({
  schedule: z.string(),
  dueAt: z.string(),
  outcome: z.enum(["done", "failed", "missed", "skipped"]),
  attempt: z.number(),
  run: z.string().nullable().describe("Its run in the journal"),
  exitCode: z.number().nullable(),
  durationMs: z.number(),
  message: z.string().nullable(),
  hint: z.string().nullable(),
});

const output = z.object({
  ended: z.array(ended).describe("What came to an end in this call"),
  silent: z.array(z.string()).describe("Schedules that have fallen silent since the last call"),
  takenUp: z
    .array(
      z.object({
        run: z.string().nullable(),
        what: z.enum(["begun", "resumed", "failed"]),
        problem: z.string().nullable(),
      }),
    )
    .describe("Runs that were left behind (ops watch) and go on again"),
  problems: z.array(z.string()).describe("Pings and notifications that did not get through"),
  quiet: z.boolean(),
});

type Ended = z.output<typeof ended>;
type Output = z.output<typeof output>;

export const runDue = defineOperation({
  name: "schedule.run-due",
  summary: "Run what is due now; called every minute by cron or a systemd timer",
  example: "schedule run-due",
  effect: "change",
  journaled: false,
  input: z.strictObject({
    schedules: z.array(name("A schedule's name")).default([]).describe("Only these schedules (default: all)"),
    quiet: z.boolean().default(false).describe("Print nothing where all went well"),
  }),
  positional: ["schedules"],
  output,
  observe: async (context, input) => {
    const now = context.clock.now();
    const owed = schedulesOf(context.environment, input.schedules, now).map((schedule) => ({
      schedule: schedule.name,
      decision: peek(context, schedule, now),
    }));
    return owed.flatMap(({ schedule, decision }) =>
      decision.kind === "run" ? [{ schedule, dueAt: decision.dueAt }] : [],
    );
  },
  plan: (before) =>
    before.map(({ schedule, dueAt }) => ({
      target: `schedule:${schedule}`,
      action: "run",
      summary: `run ${schedule}, due ${new Date(dueAt).toISOString()}`,
    })),
  apply: async (context, input, _before, report) => {
    const now = context.clock.now();
    const all = schedulesOf(context.environment, [], now);
    const wanted = schedulesOf(context.environment, input.schedules, now);
    const left = new LeftBehindRuns(context);
    await left.tick();
    // Another process may have them for long; what is due is due all the same.
    const takenUp = await left
      .lookAfter()
      .catch((error: unknown) => [
        { run: null, what: "failed" as const, problem: errorRecord(error).message },
      ]);
    const ledger = Ledger.open(context.stateDirectory, context.environment.name);
    try {
      ledger.transaction(() => {
        recordTick(ledger, now.getTime());
        for (const each of all) register(ledger, each.name, definitionOf(each), now.getTime());
      });
      const attended = await Promise.all(wanted.map((each) => attend(context, ledger, each)));
      // Before the runs, which may take hours, and beside them: a receiver that hangs holds none up.
      const silent = noticeSilence(context.environment, ledger, all, now.getTime());
      const waiting = tellAll(context, ledger, all).catch((error: unknown) => [errorRecord(error).message]);
      const results = await Promise.all(
        attended.map(async ({ schedule, begin, booked }) => {
          if (begin === undefined) return { booked, problems: [] };
          if (!input.quiet) report.log(`${schedule.name} begins`);
          const { ending, problems } = await runScheduled(
            context,
            ledger,
            schedule,
            begin.start,
            begin.resume,
          );
          const told = await tellAll(context, ledger, all);
          return { booked: [...booked, shown(begin.start, ending)], problems: [...problems, ...told] };
        }),
      );
      return {
        ended: results.flatMap((each) => each.booked),
        silent,
        takenUp: takenUp.map(({ run, what, problem }) => ({ run, what, problem })),
        problems: [...(await waiting), ...results.flatMap((each) => each.problems)],
        quiet: input.quiet,
      };
    } finally {
      ledger.close();
    }
  },
  failure: (result) => failed(result),
  render: (result) => lines(result).join("\n"),
});

interface Attended {
  readonly schedule: Schedule;
  /** What this process has to run now. */
  readonly begin: { readonly start: Start; readonly resume: string | undefined } | undefined;
  /** What was found to have ended. */
  readonly booked: readonly Ended[];
}

/** Looks after the run that was under way, then takes what is due. */
async function attend(context: OperationContext, ledger: Ledger, schedule: Schedule): Promise<Attended> {
  const booked: Ended[] = [];
  const running = ledger.running(schedule.name);
  if (running !== undefined) {
    const settled = await settle(context, ledger, schedule, running);
    if (settled?.kind === "again") return { schedule, begin: settled, booked };
    if (settled?.kind === "ended") {
      const { ending } = settled;
      const mine = finish(ledger, running, ending, (wasAmiss) =>
        endingNotices(context.environment, schedule, running, ending, wasAmiss),
      );
      if (mine) booked.push(shown(running, ending));
    }
  }
  const now = context.clock.now();
  const decision = decide(timingOf(schedule), handled(ledger, schedule, now.getTime()), now);
  if (decision.kind === "wait") return { schedule, begin: undefined, booked };
  const { dueAt } = decision;
  if (decision.kind === "missed") {
    const mine = recordMissed(ledger, schedule.name, dueAt, now.getTime());
    if (mine)
      booked.push(notRun(schedule, dueAt, "missed", `${formatDuration(decision.late)} too late for it`));
    return { schedule, begin: undefined, booked };
  }
  const start = claim(ledger, schedule.name, dueAt, now.getTime(), thisProcess());
  if (start === "skipped") booked.push(notRun(schedule, dueAt, "skipped", "the run before it still goes on"));
  const begin = typeof start === "object" ? { start, resume: undefined } : undefined;
  return { schedule, begin, booked };
}

/** What would be done now, without a look at what is under way. */
function peek(context: OperationContext, schedule: Schedule, now: Date): Decision {
  if (!Ledger.exists(context.stateDirectory)) return { kind: "wait" };
  const ledger = Ledger.openToRead(context.stateDirectory, context.environment.name);
  try {
    if (ledger.registered(schedule.name) === undefined) return { kind: "wait" };
    return decide(timingOf(schedule), handled(ledger, schedule, now.getTime()), now);
  } finally {
    ledger.close();
  }
}

/** The newest time that nothing is owed for. */
function handled(ledger: Ledger, schedule: Schedule, now: number): number {
  const from = ledger.registered(schedule.name)?.countsFrom ?? 0;
  return Math.max(from, ledger.newest(schedule.name, now)?.dueAt ?? 0);
}

/** What makes its times; another one begins anew. */
function definitionOf({ cron }: Schedule): string {
  return `${cron.text.trim()} ${cron.timezone}`;
}

function shown(start: Start, ending: Ending): Ended {
  return {
    schedule: start.name,
    dueAt: new Date(start.dueAt).toISOString(),
    outcome: ending.state,
    attempt: start.attempt,
    run: ending.run,
    exitCode: ending.exitCode,
    durationMs: ending.endedAt - start.startedAt,
    message: ending.message,
    hint: ending.hint,
  };
}

function notRun(schedule: Schedule, dueAt: number, outcome: "missed" | "skipped", message: string): Ended {
  return {
    schedule: schedule.name,
    dueAt: new Date(dueAt).toISOString(),
    outcome,
    attempt: 0,
    run: null,
    exitCode: null,
    durationMs: 0,
    message,
    hint: null,
  };
}

function failed({ ended: all }: Output): OpsError | undefined {
  const names = all.filter(({ outcome }) => outcome === "failed").map(({ schedule }) => schedule);
  if (names.length === 0) return undefined;
  const [first] = all.filter(({ outcome }) => outcome === "failed");
  return new OpsError("E_SCHEDULE_FAILED", `The scheduled ${names.join(", ")} failed`, {
    ...(first?.hint === null || first === undefined ? {} : { hint: first.hint }),
    details: { schedules: names },
  });
}

const signs = { done: "✔", failed: "✖", missed: "!", skipped: "!" } as const;

function lines({ ended: all, silent, takenUp, problems, quiet }: Output): string[] {
  return [
    ...takenUp
      .filter(({ what }) => !quiet || what === "failed")
      .map(({ run, what, problem }) => {
        const which = run === null ? "a run that was left behind" : `run ${run}, left behind,`;
        return what === "failed" ? `! ${which} could not go on: ${problem}` : `↻ ${which} goes on`;
      }),
    ...all
      .filter(({ outcome }) => !quiet || outcome !== "done")
      .map((each) => {
        const how = each.outcome === "done" ? `done in ${formatDuration(each.durationMs)}` : each.outcome;
        const why = each.message === null ? "" : `: ${each.message}`;
        const run = each.run === null ? "" : ` (run ${each.run})`;
        return `${signs[each.outcome]} ${each.schedule} ${how}${why}${run}`;
      }),
    ...silent.map((each) => `! ${each} is silent: see ops schedule list`),
    ...problems.map((each) => `! ${each}`),
  ];
}
