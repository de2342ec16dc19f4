import { type Liveness, liveness, type ProcessIdentity, thisProcess } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import { findJournaledRun, type JournaledRun } from "../run/journaled-run.ts";
import { onTime, startOf } from "./due.ts";
import type { Ledger, Start } from "./ledger.ts";
import { type Ending, takeOver } from "./ledger-writes.ts";
import { actorOf, type Schedule } from "./schedule.ts";
import { timingOf } from "./timing.ts";

/** A run that was cut off is taken up again this often in all. */
const attempts = 2;
/** After the timeout of a run that nobody watches: asked to stop, then, this much later, killed. Milliseconds. */
const insist = 75_000;

/** What became of a run that was under way when somebody last looked. */
export type Settled =
  | { readonly kind: "runs" }
  | { readonly kind: "ended"; readonly ending: Ending }
  /** This process has it now and must run it: from the beginning, or the run of the journal to its end. */
  | { readonly kind: "again"; readonly start: Start; readonly resume: string | undefined };

/**
 * Looks after a run that its own `run-due` may have left: one that nothing has run of is run, one that goes on is
 * left alone, one that has ended is booked as its journal says, one that was cut off is finished once. Undefined
 * where another process was faster.
 */
export async function settle(
  context: OperationContext,
  ledger: Ledger,
  schedule: Schedule,
  start: Start,
): Promise<Settled | undefined> {
  const now = context.clock.now().getTime();
  const expired = now > start.startedAt + schedule.settings.timeout;
  if (lives(start.supervisor, expired)) return { kind: "runs" };
  if (start.child === null) return runAgain(context, ledger, schedule, start, undefined);
  if (lives(start.child, expired)) {
    if (expired && liveness(start.child) === "alive") {
      const over = now - start.startedAt - schedule.settings.timeout;
      process.kill(start.child.pid, over > insist ? "SIGKILL" : "SIGTERM");
    }
    return { kind: "runs" };
  }
  const run = await findJournaledRun(context.stateDirectory, context.clock, actorOf(schedule, start.dueAt));
  if (run?.held === true) return { kind: "runs" };
  const cutOff = run === undefined || run.status === "running" || run.status === "rolling-back";
  if (cutOff && start.attempt < attempts) return runAgain(context, ledger, schedule, start, run);
  return { kind: "ended", ending: endingOf(run, now) };
}

/** Where it is not too late for it. */
function runAgain(
  context: OperationContext,
  ledger: Ledger,
  schedule: Schedule,
  start: Start,
  run: JournaledRun | undefined,
): Settled | undefined {
  const now = context.clock.now().getTime();
  const { settings } = schedule;
  const late = now - startOf(timingOf(schedule), start.dueAt);
  const intact = start.child === null;
  if ((intact && late <= onTime) || (settings["catch-up"] && late <= settings["catch-up-within"])) {
    const mine = takeOver(ledger, start, now, thisProcess());
    return mine === undefined ? undefined : { kind: "again", start: mine, resume: run?.id };
  }
  if (!intact) return { kind: "ended", ending: endingOf(run, now) };
  const message = "it was not begun, and now it is too late for it";
  return {
    kind: "ended",
    ending: { state: "missed", endedAt: now, run: null, exitCode: null, message, hint: null },
  };
}

function endingOf(run: JournaledRun | undefined, now: number): Ending {
  if (run === undefined) {
    const message = "it was cut off before its run began";
    return { state: "failed", endedAt: now, run: null, exitCode: null, message, hint: null };
  }
  if (run.status === "done") {
    return { state: "done", endedAt: run.lastAt, run: run.id, exitCode: 0, message: null, hint: null };
  }
  const cutOff = run.status === "running" || run.status === "rolling-back" || run.status === "interrupted";
  return {
    state: "failed",
    endedAt: now,
    run: run.id,
    exitCode: null,
    message: run.message ?? (cutOff ? "it was cut off in the middle" : `its run is ${run.status}`),
    hint: cutOff ? `ops runs resume ${run.id}` : (run.hint ?? `ops runs show ${run.id}`),
  };
}

/** What cannot be told (another host, no /proc) counts as alive until its time is over. */
function lives(identity: ProcessIdentity | null, expired: boolean): boolean {
  if (identity === null) return false;
  const state: Liveness = liveness(identity);
  return state === "alive" || (state === "unknown" && !expired);
}
