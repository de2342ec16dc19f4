import type { ErrorRecord, Json } from "../core/errors.ts";
import type { JournalEntry, RunRequest } from "./events.ts";
import type { Change, UndoResult } from "./operation.ts";
import type { MadeRestorePoint } from "./restore-point.ts";

export type RunStatus =
  | "running"
  | "done"
  | "failed"
  | "interrupted"
  | "rolling-back"
  | "rolled-back"
  | "needs-person";

export interface StepState {
  readonly id: string;
  readonly status: "running" | "done" | "failed" | "skipped";
  readonly attempt: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly input?: Json;
  /** What the operation saw before its first attempt; absent until then. */
  readonly before?: { readonly value: Json };
  readonly changes: readonly Change[];
  /** Made before its effect began. */
  readonly restorePoints?: readonly MadeRestorePoint[];
  /** True from the moment its effect may have begun. */
  readonly applied: boolean;
  readonly checkpoint?: Json;
  readonly output?: Json;
  readonly error?: ErrorRecord;
  /** Why it was skipped. */
  readonly why?: string;
  readonly undo?:
    | { readonly status: "running" }
    | { readonly status: "failed"; readonly error: ErrorRecord }
    | ({ readonly status: "ended" } & UndoResult);
}

/** A run as its journal tells it. Derived, never stored. */
export interface RunState {
  readonly id: string;
  readonly request: RunRequest;
  readonly status: RunStatus;
  readonly createdAt: string;
  readonly lastAt: string;
  readonly lastSequence: number;
  /** Positions in the whole journal of the first and the newest entry: what came before what. */
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** All targets that it has locked so far. */
  readonly targets: readonly string[];
  /** In the order in which they began. */
  readonly steps: ReadonlyMap<string, StepState>;
  readonly error?: ErrorRecord;
  /** Why a person is needed. */
  readonly reason?: string;
  /** What its newest roll-back began for. */
  readonly rollbackReason?: string;
}

/** Folds a run's entries. Undefined where there are none. */
export function runState(entries: readonly JournalEntry[]): RunState | undefined {
  return entries.reduce<RunState | undefined>((state, entry) => advance(state, entry), undefined);
}

/** The state after one more entry. */
export function advance(state: RunState | undefined, entry: JournalEntry): RunState {
  if (entry.type === "run.created") {
    const { process: _, ...request } = entry.data;
    return {
      id: entry.run,
      request,
      status: "running",
      createdAt: entry.at,
      lastAt: entry.at,
      lastSequence: entry.sequence,
      firstPosition: entry.position,
      lastPosition: entry.position,
      targets: request.targets,
      steps: new Map(),
    };
  }
  if (state === undefined) throw new Error(`the journal of run ${entry.run} does not begin with run.created`);
  const next = { ...state, lastAt: entry.at, lastSequence: entry.sequence, lastPosition: entry.position };
  switch (entry.type) {
    case "run.resumed": {
      const request = entry.data.withoutRestorePoints
        ? { ...next.request, withoutRestorePoints: true as const }
        : next.request;
      return state.status === "rolling-back" || state.status === "needs-person"
        ? { ...next, request }
        : { ...next, request, status: "running" };
    }
    case "run.done":
      return { ...next, status: "done" };
    case "run.failed":
      return { ...next, status: "failed", error: entry.data.error };
    case "run.interrupted":
      return state.status === "rolling-back" ? next : { ...next, status: "interrupted" };
    case "run.rollback-started":
      return {
        ...next,
        status: "rolling-back",
        rollbackReason: entry.data.reason,
        ...(entry.data.error === undefined ? {} : { error: entry.data.error }),
      };
    case "run.rolled-back":
      return { ...next, status: "rolled-back" };
    case "run.needs-person":
      return { ...next, status: "needs-person", reason: entry.data.reason };
    default: {
      const steps = new Map(state.steps).set(entry.step, advanceStep(state.steps.get(entry.step), entry));
      const added = entry.type === "step.started" ? entry.data.targets : [];
      return { ...next, steps, targets: [...new Set([...state.targets, ...added])] };
    }
  }
}

function advanceStep(
  known: StepState | undefined,
  entry: Extract<JournalEntry, { step: string }>,
): StepState {
  const step: StepState = known ?? {
    id: entry.step,
    status: "running",
    attempt: 0,
    startedAt: entry.at,
    changes: [],
    applied: false,
  };
  switch (entry.type) {
    case "step.skipped":
      return { ...step, status: "skipped", why: entry.data.why, endedAt: entry.at };
    case "step.started": {
      const { endedAt: _, error: __, ...rest } = step;
      return { ...rest, status: "running", attempt: entry.data.attempt, input: entry.data.input };
    }
    case "step.observed":
      return { ...step, before: { value: entry.data.before }, changes: entry.data.changes };
    case "step.restore-point":
      return { ...step, restorePoints: [...(step.restorePoints ?? []), entry.data] };
    case "step.applying":
      return { ...step, applied: true };
    case "step.checkpoint":
      return { ...step, checkpoint: entry.data };
    case "step.done":
      return { ...step, status: "done", output: entry.data.output, endedAt: entry.at };
    case "step.failed":
      return { ...step, status: "failed", error: entry.data.error, endedAt: entry.at };
    case "step.undoing":
      return { ...step, undo: { status: "running" } };
    case "step.undone":
      return { ...step, undo: { status: "ended", ...entry.data } };
    case "step.undo-failed":
      return { ...step, undo: { status: "failed", error: entry.data.error } };
  }
}

/** Whether anything outside was changed, or may have been. */
export function hasChanged(state: RunState): boolean {
  return [...state.steps.values()].some(
    (step) =>
      step.applied &&
      step.changes.length > 0 &&
      !(step.undo?.status === "ended" && step.undo.undone === true),
  );
}

/** Whether the run came to an end from which nothing goes on by itself. */
export function isFinished(status: RunStatus): boolean {
  return status === "done" || status === "rolled-back";
}
