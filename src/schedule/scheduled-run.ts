import { formatDuration } from "../core/duration.ts";
import { errorRecord } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import type { OperationContext } from "../run/context.ts";
import { findJournaledRun, type JournaledRun } from "../run/journaled-run.ts";
import { type ChildResult, lastLines, runChild } from "./child.ts";
import type { Ledger, Start } from "./ledger.ts";
import { type Ending, finish, recordChild } from "./ledger-writes.ts";
import { endingNotices } from "./notice.ts";
import { sendPing } from "./ping.ts";
import { actorOf, type Schedule } from "./schedule.ts";
import { logOf, resumeArguments, runArguments } from "./work.ts";

const reasonLength = 300;

/** Runs what a schedule owes and books how it ended. Returns the problems of its pings beside the ending. */
export async function runScheduled(
  context: OperationContext,
  ledger: Ledger,
  schedule: Schedule,
  start: Start,
  resume: string | undefined,
): Promise<{ readonly ending: Ending; readonly problems: string[] }> {
  // Nobody waits for it: a backup does not start later because a monitoring service is slow.
  const startPing = sendPing(context, schedule, "start");
  const ending = await outcome(context, ledger, schedule, start, resume).catch((error: unknown): Ending => {
    // A runbook that cannot be written, a shell that cannot be started: the others must still run.
    const { message, hint = null } = errorRecord(error);
    const endedAt = context.clock.now().getTime();
    return { state: "failed", endedAt, run: null, exitCode: null, message: redact(message), hint };
  });
  const asked = await startPing;
  finish(ledger, start, ending, (wasAmiss) =>
    endingNotices(context.environment, schedule, start, ending, wasAmiss),
  );
  return { ending, problems: asked.sent ? [] : [asked.problem] };
}

async function outcome(
  context: OperationContext,
  ledger: Ledger,
  schedule: Schedule,
  start: Start,
  resume: string | undefined,
): Promise<Ending> {
  const log = logOf(context, schedule);
  const result = await runChild({
    args: resume === undefined ? runArguments(context, schedule) : resumeArguments(context, resume),
    cwd: context.environment.directory,
    env: { OPS_ACTOR: actorOf(schedule, start.dueAt), OPS_STATE_DIR: context.stateDirectory },
    log,
    timeout: schedule.settings.timeout,
    stop: context.stop,
    onStart: (identity) => recordChild(ledger, start, identity),
  });
  const run = await findJournaledRun(context.stateDirectory, context.clock, actorOf(schedule, start.dueAt));
  const endedAt = context.clock.now().getTime();
  const { exitCode } = result;
  if (exitCode === 0)
    return { state: "done", endedAt, run: run?.id ?? null, exitCode, message: null, hint: null };
  return {
    state: "failed",
    endedAt,
    run: run?.id ?? null,
    exitCode,
    message: await reason(schedule, result, run, log),
    hint: hint(run, log),
  };
}

async function reason(
  schedule: Schedule,
  { exitCode, timedOut }: ChildResult,
  run: JournaledRun | undefined,
  log: string,
): Promise<string> {
  if (timedOut) return `stopped after its timeout of ${formatDuration(schedule.settings.timeout)}`;
  if (run?.message !== undefined) return run.message;
  if (run?.status === "interrupted") return "interrupted";
  const said = (await lastLines(log, 6)).map((line) => line.trim().replace(/^✖ /, "")).join(" ");
  if (said !== "") return redact(said).slice(0, reasonLength);
  return exitCode === null ? "ended by a signal" : `ended with exit code ${exitCode}`;
}

function hint(run: JournaledRun | undefined, log: string): string {
  if (run === undefined) return `see ${log}`;
  const open = run.status === "interrupted" || run.status === "running";
  return open ? `ops runs resume ${run.id}` : (run.hint ?? `ops runs show ${run.id}`);
}
