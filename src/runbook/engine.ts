import type { Environment } from "../config/environment.ts";
import {
  type ErrorRecord,
  ExitCode,
  errorRecord,
  InterruptedError,
  OpsError,
  UsageError,
} from "../core/errors.ts";
import { thisProcess } from "../process/live-process.ts";
import type { RunRequest } from "../run/events.ts";
import type { Journal } from "../run/journal.ts";
import { newRunId } from "../run/run-id.ts";
import { hasChanged, type RunState, runState } from "../run/run-state.ts";
import { Execution, type ExecutionEnvironment } from "./execution.ts";
import { lockName } from "./lock-name.ts";
import type { Plan } from "./plan.ts";
import { acceptSteps, rollBack, stepsToUndo } from "./rollback.ts";
import type { Runbook, Stage } from "./runbook.ts";

/** How a run ended for this process. */
export interface RunOutcome {
  readonly state: RunState;
  readonly exitCode: ExitCode;
}

/** Runs what was planned, as a new run. Throws `E_LOCK_HELD`; every other failure is in the outcome. */
export async function startRun(
  surroundings: ExecutionEnvironment,
  runbook: Runbook,
  plan: Plan,
  details: {
    readonly variables: Readonly<Record<string, string>>;
    readonly unselected: ReadonlySet<string>;
    readonly withoutRestorePoints?: true | undefined;
    readonly version: string;
  },
): Promise<RunOutcome> {
  const { journal, environment, context } = surroundings;
  const request: RunRequest = {
    name: runbook.name,
    kind: runbook.kind,
    text: runbook.text,
    ...(runbook.file === undefined ? {} : { file: runbook.file }),
    environment: environment.name,
    inputs: plan.inputs,
    variables: details.variables,
    unselected: [...details.unselected],
    ...(details.withoutRestorePoints === true && { withoutRestorePoints: true }),
    planDigest: plan.digest,
    plannedChanges: Object.fromEntries(
      plan.steps.filter((step) => step.state === "planned").map((step) => [step.id, step.changes]),
    ),
    targets: plan.targets.map((target) => lockName(environment.name, target)),
    places: await environment.places(),
    actor: context.actor,
    version: details.version,
  };
  const id = newRunId(context.clock.now());
  const lease = await journal.create(id, request);
  const entries = await journal.entries(id);
  for (const entry of entries) surroundings.listener.entry(entry);
  return hold(new Execution(surroundings, lease, loaded(id, runState(entries))), (execution) =>
    runStages(execution, runbook),
  );
}

/**
 * Goes on with a run that stopped: forwards, or back where its roll-back had begun.
 * @param withoutRestorePoints present where no restore points are to be made from here on
 */
export async function resumeRun(
  surroundings: ExecutionEnvironment,
  runbook: Runbook,
  state: RunState,
  withoutRestorePoints?: true,
): Promise<RunOutcome> {
  if (state.status === "done") return { state, exitCode: ExitCode.done };
  if (state.status === "rolled-back") {
    throw new UsageError("E_RUN_FINISHED", `Run ${state.id} was rolled back`, {
      hint: "start a new one: ops run FILE",
    });
  }
  const choices = withoutRestorePoints === true ? { withoutRestorePoints } : {};
  return reopen(surroundings, state, choices, async (execution) => {
    if (execution.state.status !== "rolling-back" && execution.state.status !== "needs-person") {
      return runStages(execution, runbook);
    }
    await rollBack(execution, runbook, "resumed", execution.state.error);
    return rollbackExitCode(execution.state, ExitCode.rolledBack);
  });
}

/**
 * Takes a run back, wherever it stands. Success is exit code 0: that is what was asked for.
 * @param accepted steps that a person has taken back by hand, or leaves as they are
 */
export async function rollbackRun(
  surroundings: ExecutionEnvironment,
  runbook: Runbook,
  state: RunState,
  accepted: readonly string[] = [],
): Promise<RunOutcome> {
  if (state.status === "rolled-back") return { state, exitCode: ExitCode.done };
  return reopen(surroundings, state, {}, async (execution) => {
    await acceptSteps(execution, runbook, accepted);
    await rollBack(execution, runbook, `asked for by ${surroundings.context.actor}`);
    return rollbackExitCode(execution.state, ExitCode.done);
  });
}

async function reopen(
  surroundings: ExecutionEnvironment,
  state: RunState,
  choices: { readonly withoutRestorePoints?: true },
  work: (execution: Execution) => Promise<ExitCode>,
): Promise<RunOutcome> {
  const { journal, context, environment } = surroundings;
  await refuseSuperseded(journal, state);
  await refuseMovedTargets(environment, state);
  const lease = await journal.reopen(state.id, state.targets);
  // Read again under the lease: what was known before may have been overtaken.
  const fresh = loaded(state.id, runState(await journal.entries(state.id)));
  return hold(new Execution(surroundings, lease, fresh), async (execution) => {
    const { host, pid } = thisProcess();
    const process = { host, pid };
    await execution.append({ type: "run.resumed", data: { process, actor: context.actor, ...choices } });
    return work(execution);
  });
}

/** Releases the locks whatever happens; an interruption is journaled as one. */
async function hold(
  execution: Execution,
  work: (execution: Execution) => Promise<ExitCode>,
): Promise<RunOutcome> {
  try {
    const exitCode = await work(execution);
    return { state: execution.state, exitCode };
  } catch (error) {
    if (!(error instanceof InterruptedError)) throw error;
    await execution.append({ type: "run.interrupted" });
    return { state: execution.state, exitCode: ExitCode.interrupted };
  } finally {
    await execution.release();
  }
}

async function runStages(execution: Execution, runbook: Runbook): Promise<ExitCode> {
  const refusal = execution.state.steps.size === 0 ? await refusalToBegin(execution) : undefined;
  if (refusal !== undefined) {
    await execution.append({ type: "run.failed", data: { error: refusal } });
    return refusal.exitCode;
  }
  for (const [index, stage] of runbook.stages.entries()) {
    // A stage that the run is past is over, also where a step of it failed and the runbook says to go on.
    if (
      runbook.stages
        .slice(index + 1)
        .flat()
        .some((step) => execution.step(step.id) !== undefined)
    )
      continue;
    const failure = await runStage(execution, stage, runbook);
    if (failure === undefined) continue;
    const record = errorRecord(failure.error);
    if (failure.policy === "rollback" && stepsToUndo(execution, runbook).length > 0) {
      await rollBack(execution, runbook, `step ${failure.step} failed`, record);
      return rollbackExitCode(execution.state, ExitCode.rolledBack);
    }
    await execution.append({ type: "run.failed", data: { error: record } });
    return record.exitCode;
  }
  await execution.append({ type: "run.done" });
  return ExitCode.done;
}

/** Why nothing may begin; undefined where it may. */
async function refusalToBegin(execution: Execution): Promise<ErrorRecord | undefined> {
  try {
    await execution.surroundings.begin?.(execution.state.id);
    return undefined;
  } catch (error) {
    if (error instanceof InterruptedError || isLost(error)) throw error;
    return errorRecord(error);
  }
}

interface StageFailure {
  readonly step: string;
  readonly error: unknown;
  readonly policy: "stop" | "rollback";
}

/** The steps of a stage run at the same time; all of them end before a failure of one counts. */
async function runStage(
  execution: Execution,
  stage: Stage,
  runbook: Runbook,
): Promise<StageFailure | undefined> {
  const results = await Promise.allSettled(stage.map((step) => execution.runStep(step)));
  const failures = results.flatMap((result, index) => {
    const step = stage[index];
    if (result.status === "fulfilled" || step === undefined) return [];
    return [{ step, error: result.reason as unknown }];
  });
  // An interruption wins over a failure beside it: the run can be resumed and will meet the failure again.
  for (const { error } of failures) {
    if (error instanceof InterruptedError || isLost(error)) throw error;
  }
  const counting = failures.flatMap(({ step, error }) => {
    const policy = step["on-failure"] ?? runbook.onFailure;
    return policy === "continue" ? [] : [{ step: step.id, error, policy }];
  });
  return counting.find(({ policy }) => policy === "rollback") ?? counting[0];
}

function isLost(error: unknown): boolean {
  return error instanceof OpsError && (error.code === "E_LOCK_LOST" || error.code === "E_JOURNAL");
}

function rollbackExitCode(state: RunState, success: ExitCode): ExitCode {
  return state.status === "rolled-back" ? success : ExitCode.needsPerson;
}

/** A run that another one has worked over must not put back or finish what it remembers. */
async function refuseSuperseded(journal: Journal, state: RunState): Promise<void> {
  for (const id of await journal.runs()) {
    if (id === state.id) break;
    const other = runState(await journal.entries(id));
    if (other === undefined || other.lastPosition < state.lastPosition || other.status === "rolled-back")
      continue;
    const shared = other.targets.filter((target) => state.targets.includes(target));
    if (shared.length === 0 || !hasChanged(other)) continue;
    throw new UsageError(
      "E_RUN_SUPERSEDED",
      `Run ${id} has since changed ${shared.join(", ")}, which run ${state.id} would change`,
      { hint: `look at both (ops runs show ${id}), take the later one back first, or start a new run` },
    );
  }
}

/** A configuration that points elsewhere by now would put one database's past into another. */
async function refuseMovedTargets(environment: Environment, state: RunState): Promise<void> {
  const now = await environment.places();
  const moved = Object.entries(state.request.places).flatMap(([target, place]) => {
    const other = now[target];
    if (other === place || place === "unknown") return [];
    return [`${target} was ${place} and is ${other ?? "not configured"}`];
  });
  if (moved.length === 0) return;
  throw new UsageError(
    "E_TARGET_MOVED",
    `The configuration has changed since run ${state.id} began: ${moved.join("; ")}`,
    {
      hint: "name the configuration that it began with: --config",
    },
  );
}

function loaded(id: string, state: RunState | undefined): RunState {
  if (state === undefined)
    throw new UsageError("E_RUN_UNKNOWN", `There is no run "${id}"`, { hint: "see all: ops runs list" });
  return state;
}
