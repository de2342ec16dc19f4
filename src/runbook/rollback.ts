import { type ErrorRecord, errorRecord, InterruptedError, OpsError } from "../core/errors.ts";
import type { UndoResult } from "../run/operation.ts";
import type { Execution } from "./execution.ts";
import { type Runbook, type Step, steps } from "./runbook.ts";
import { unknownStep } from "./selection.ts";

const attempts = 3;
const pauseMs = 1000;

/**
 * Takes back, newest first, every step whose effect may have begun. Goes on from where an earlier roll-back stopped.
 * Ends in `run.rolled-back`, or in `run.needs-person` where a step could not be taken back: what comes before a step
 * that failed to be undone is left as it is, since it may depend on it.
 */
export async function rollBack(
  execution: Execution,
  runbook: Runbook,
  reason: string,
  error?: ErrorRecord,
): Promise<void> {
  await execution.append({
    type: "run.rollback-started",
    data: { reason, ...(error === undefined ? {} : { error }) },
  });
  for (const step of stepsToUndo(execution, runbook)) {
    try {
      await execution.append({ type: "step.undone", step: step.id, data: await undo(execution, step) });
    } catch (failure) {
      if (failure instanceof InterruptedError) throw failure;
      await execution.append({
        type: "step.undo-failed",
        step: step.id,
        data: { error: errorRecord(failure) },
      });
      const why = failure instanceof Error ? failure.message : String(failure);
      await execution.append({
        type: "run.needs-person",
        data: { reason: `step ${step.id} could not be taken back: ${why}` },
      });
      return;
    }
  }
  const stuck = steps(runbook).filter((step) => {
    const undone = execution.step(step.id)?.undo;
    return undone?.status === "ended" && undone.undone === false;
  });
  if (stuck.length === 0) return execution.append({ type: "run.rolled-back" });
  const names = stuck.map((step) => step.id).join(", ");
  await execution.append({ type: "run.needs-person", data: { reason: `there is no way back for ${names}` } });
}

/** What a person answers for: each counts as kept from here on. Throws `E_STEP_UNKNOWN`. */
export async function acceptSteps(
  execution: Execution,
  runbook: Runbook,
  accepted: readonly string[],
): Promise<void> {
  const known = steps(runbook).map((step) => step.id);
  for (const id of accepted) {
    if (!known.includes(id)) throw unknownStep(runbook, id, known);
    const note = `accepted by ${execution.surroundings.context.actor}`;
    await execution.append({ type: "step.undone", step: id, data: { undone: "kept", note } });
  }
}

/** Steps with an effect that has not been taken back, newest first. */
export function stepsToUndo(execution: Execution, runbook: Runbook): Step[] {
  return steps(runbook)
    .filter((step) => {
      const state = execution.step(step.id);
      return state?.applied === true && step.operation.effect !== "read" && state.undo?.status !== "ended";
    })
    .reverse();
}

async function undo(execution: Execution, step: Step): Promise<UndoResult> {
  const { operation, id } = step;
  if (step.undo === "skip") return { undone: "kept", note: "the runbook says undo: skip" };
  if (operation.undo === undefined) return { undone: false, note: `${operation.name} has no way back` };
  const before = execution.step(id)?.before;
  if (before === undefined) throw new Error(`step ${id} was applied without having been observed`);
  await execution.append({ type: "step.undoing", step: id });
  const input = execution.input(step, execution.scope());
  // A roll-back is the safe way out already: the first Ctrl-C does not stop it, the second does.
  const context = execution.context(undefined, new AbortController().signal);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await operation.undo(context, input, before.value, execution.report(id));
    } catch (error) {
      const ended = execution.endedBy(error);
      if (ended instanceof InterruptedError) throw ended;
      if (attempt === attempts || !(ended instanceof OpsError) || !ended.retryable) throw ended;
      await execution.surroundings.context.clock.sleep(pauseMs * attempt, context.signal);
    }
  }
}
