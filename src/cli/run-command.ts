import type { Json } from "../core/errors.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { openRunNotices } from "../outbox/run-notices.ts";
import { version } from "../process/version.ts";
import { shownRestorePoint } from "../run/restore-point.ts";
import type { RunListener } from "../run/run-listener.ts";
import type { RunState } from "../run/run-state.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import { type RunOutcome, startRun } from "../runbook/engine.ts";
import type { ExecutionEnvironment } from "../runbook/execution.ts";
import { type Plan, planRunbook, usedVariables } from "../runbook/plan.ts";
import { type Runbook, type Step, steps } from "../runbook/runbook.ts";
import { eventListener, lineListener } from "./render/line-listener.ts";
import { renderPlan } from "./render/plan.ts";
import { renderOutcome } from "./render/run.ts";
import { renderValue } from "./render/value.ts";
import { confirm, looseContext, type Session } from "./session.ts";
import { warnOfUnfinished } from "./unfinished-warning.ts";

export interface RunChoices {
  readonly inputs: Readonly<Record<string, Json>>;
  readonly unselected: ReadonlySet<string>;
  /** The digest that a person or a pipeline has agreed to. */
  readonly plan?: string | undefined;
  /** What was seen a moment ago, by the step's id. */
  readonly observed?: ReadonlyMap<string, Json>;
}

/** Plans, asks, runs and reports; the exit code is the run's. The same for a runbook and for a single operation. */
export async function planAndRun(session: Session, runbook: Runbook, choices: RunChoices): Promise<ExitCode> {
  const { terminal, options, environment } = session;
  const variables = usedVariables(runbook, process.env);
  const withoutRestorePoints = options.restorePoint === false ? true : undefined;
  const plan = await planRunbook({
    runbook,
    environment,
    inputs: choices.inputs,
    variables,
    unselected: choices.unselected,
    withoutRestorePoints,
    context: looseContext(session),
    ...(choices.observed !== undefined && { observed: choices.observed }),
  });
  if (choices.plan !== undefined && choices.plan !== plan.digest) {
    throw new OpsError("E_PLAN_CHANGED", `The plan is now ${plan.digest}, not ${choices.plan}`, {
      hint: "look at what changed: ops plan FILE",
      retryable: false,
    });
  }
  if (options.dryRun === true) {
    showPlan(session, plan);
    return ExitCode.done;
  }
  const journal = SqliteJournal.open(session.config.stateDirectory, session.context.clock);
  try {
    await warnOfUnfinished(session, journal, plan.targets);
    const destroys = steps(runbook).some(mustBeConfirmed);
    if (terminal.interactive && options.yes !== true)
      terminal.note(`${renderPlan(plan, terminal.noteColor)}\n`);
    await confirm(
      session,
      runbook.kind === "runbook"
        ? `Run ${runbook.name} on ${environment.name}?`
        : `Go ahead on ${environment.name}?`,
      destroys,
    );
    return await watched(session, runbook, undefined, journal, (surroundings) =>
      startRun(surroundings, runbook, plan, {
        variables,
        unselected: choices.unselected,
        withoutRestorePoints,
        version,
      }),
    );
  } finally {
    await journal.close();
  }
}

export function showPlan({ terminal, options }: Session, plan: Plan): void {
  terminal.out(options.json === true ? JSON.stringify(plan, null, 2) : renderPlan(plan, terminal.color));
}

/** An expression may come out as true: it counts. */
export function mustBeConfirmed({ operation, with: input }: Pick<Step, "operation" | "with">): boolean {
  if (operation.effect === "destroy") return true;
  return (operation.confirmed ?? []).some((key) => input[key] !== undefined && input[key] !== false);
}

/** Runs with the listener that fits where the output goes, then prints the result. */
export async function watched(
  session: Session,
  runbook: Runbook,
  state: RunState | undefined,
  journal: SqliteJournal,
  work: (surroundings: ExecutionEnvironment) => Promise<RunOutcome>,
): Promise<ExitCode> {
  const { terminal, options } = session;
  const listener = await listenerFor(session, runbook, state);
  const notices = await openRunNotices(session.context, journal);
  session.interruption.announce = (text) => listener.note(text);
  terminal.holdsRun = true;
  let outcome: RunOutcome;
  try {
    outcome = await work({
      journal,
      environment: session.environment,
      context: session.context,
      listener: notices.listening(listener),
      begin: notices.begin.bind(notices),
      stop: session.interruption.stop,
      abort: session.interruption.abort,
    });
  } finally {
    await listener.close?.();
    session.interruption.announce = undefined;
    for (const problem of await notices.end()) terminal.note(`! ${problem}`);
  }
  if (options.json === true) terminal.out(JSON.stringify(outcomeJson(outcome), null, 2));
  else if (options.events !== true) showOutcome(session, runbook, outcome);
  return outcome.exitCode;
}

function showOutcome({ terminal }: Session, runbook: Runbook, outcome: RunOutcome): void {
  const { state } = outcome;
  const [only] = steps(runbook);
  if (runbook.kind === "operation" && only !== undefined && state.status === "done") {
    const output = state.steps.get(only.id)?.output;
    terminal.out(only.operation.render?.(output, terminal.screen) ?? renderValue(output));
    // Lines of a log stay where they are; of the tree only the newest do.
    const points = terminal.interactive ? state.steps.get(only.id)?.restorePoints : undefined;
    for (const each of points ?? []) terminal.note(shownRestorePoint(each));
    terminal.note(terminal.noteColor.dim(`run ${state.id}`));
    return;
  }
  terminal.out(renderOutcome(state, terminal.color));
}

function outcomeJson({ state, exitCode }: RunOutcome): object {
  return {
    run: state.id,
    name: state.request.name,
    environment: state.request.environment,
    status: state.status,
    exitCode,
    ...(state.error === undefined ? {} : { error: state.error }),
    ...(state.reason === undefined ? {} : { reason: state.reason }),
    steps: [...state.steps.values()],
  };
}

async function listenerFor(
  session: Session,
  runbook: Runbook,
  state: RunState | undefined,
): Promise<RunListener & { close?(): Promise<void> }> {
  const { terminal, options } = session;
  if (options.events === true) return eventListener(terminal);
  if (!terminal.interactive || options.json === true) return lineListener(terminal);
  const { TreeListener } = await import("./render/tree-listener.ts");
  const stages = runbook.stages.map((stage) =>
    stage.map((step) => ({
      id: step.id,
      title: step.name ?? `${step.id} ${terminal.noteColor.dim(step.uses)}`,
      inRollback: step.operation.effect !== "read",
    })),
  );
  return new TreeListener(stages, { color: terminal.noteColor, columns: terminal.width }, state);
}
