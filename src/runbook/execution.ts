import type { Environment } from "../config/environment.ts";
import { canonicalJson } from "../core/digest.ts";
import { formatDuration } from "../core/duration.ts";
import { errorRecord, fullCode, InterruptedError, type Json, OpsError } from "../core/errors.ts";
import { timeoutSignal } from "../core/timer.ts";
import type { OperationContext } from "../run/context.ts";
import type { RunEvent } from "../run/events.ts";
import { type Journal, type Lease, leaseRenewal } from "../run/journal.ts";
import type { Change, Report } from "../run/operation.ts";
import type { RunListener } from "../run/run-listener.ts";
import { advance, type RunState, type StepState } from "../run/run-state.ts";
import { ExpressionError, type Scope } from "./expression.ts";
import { lockName } from "./lock-name.ts";
import { expressionFailed } from "./plan.ts";
import { makeRestorePoints } from "./restore-points.ts";
import type { Step } from "./runbook.ts";
import { readInput } from "./step-input.ts";
import { parseCondition, render } from "./template.ts";

export interface ExecutionEnvironment {
  readonly journal: Journal;
  readonly environment: Environment;
  /** Without `signal`, `stop`, `safePoint` and `runId`, which belong to a run. */
  readonly context: Omit<OperationContext, "signal" | "stop" | "safePoint" | "runId">;
  readonly listener: RunListener;
  /** Called before the first step of a run; what it throws ends the run before anything was done. */
  readonly begin?: (run: string) => Promise<void>;
  /** The first Ctrl-C: end at the next safe point. */
  readonly stop: AbortSignal;
  /** The second Ctrl-C: end now. */
  readonly abort: AbortSignal;
}

/**
 * One process's hold of a run: writes its entries and runs its steps. Everything that happens is in the journal
 * before its effect begins, so another process can go on from any point at which this one dies.
 */
export class Execution {
  state: RunState;
  readonly surroundings: ExecutionEnvironment;
  private lease: Lease;
  private readonly lost = new AbortController();
  private readonly renewal: NodeJS.Timeout;

  constructor(surroundings: ExecutionEnvironment, lease: Lease, state: RunState) {
    this.surroundings = surroundings;
    this.lease = lease;
    this.state = state;
    const renew = () =>
      void surroundings.journal.renew(this.lease).catch((error: unknown) => this.lost.abort(error));
    this.renewal = setInterval(renew, leaseRenewal);
    this.renewal.unref();
  }

  /** Ends this process's hold; the run stays as it is. */
  async release(): Promise<void> {
    clearInterval(this.renewal);
    await this.surroundings.journal.release(this.lease);
  }

  async append(event: RunEvent): Promise<void> {
    const entry = await this.surroundings.journal.append(this.lease, event);
    this.state = advance(this.state, entry);
    this.surroundings.listener.entry(entry);
  }

  /**
   * Brings a step to its end, with its retries. Goes on from where an earlier process left it. Throws the error of
   * the last attempt, after it is journaled, or InterruptedError.
   */
  async runStep(step: Step): Promise<void> {
    const known = this.step(step.id);
    if (known?.status === "done" || known?.status === "skipped") return;
    if (this.state.request.unselected.includes(step.id)) {
      return this.append({ type: "step.skipped", step: step.id, data: { why: "not selected" } });
    }
    const attempts = step.retry?.attempts ?? 1;
    for (let attempt = 1; ; attempt += 1) {
      this.context().safePoint();
      try {
        return await this.attempt(step);
      } catch (error) {
        if (error instanceof InterruptedError || this.lost.signal.aborted) throw error;
        const again = attempt < attempts && mayRetry(step, error);
        const retryInMs = again ? pause(step, attempt) : undefined;
        await this.append({
          type: "step.failed",
          step: step.id,
          data: { error: errorRecord(error), ...(retryInMs === undefined ? {} : { retryInMs }) },
        });
        if (retryInMs === undefined) throw error;
        await this.surroundings.context.clock.sleep(retryInMs, this.stopSignal());
      }
    }
  }

  private async attempt(step: Step): Promise<void> {
    const { operation, id } = step;
    const scope = this.scope();
    if (this.step(id)?.before === undefined && !this.condition(step, scope)) {
      return this.append({
        type: "step.skipped",
        step: id,
        data: { why: `if: ${String(step.if)} is false` },
      });
    }
    const input = this.input(step, scope);
    const attempt = (this.step(id)?.attempt ?? 0) + 1;
    const targets = this.lockNames(step, input);
    await this.append({ type: "step.started", step: id, data: { attempt, input: json(step.with), targets } });
    await this.lock(targets);
    const timeout = step.timeout === undefined ? undefined : timeoutSignal(step.timeout);
    const context = this.context(timeout);
    try {
      let before = this.step(id)?.before;
      if (before === undefined) {
        before = { value: await operation.observe(context, input) };
        const changes = operation.plan(before.value, input);
        this.refuseOtherPlan(step, changes);
        await this.append({ type: "step.observed", step: id, data: { before: before.value, changes } });
      }
      await makeRestorePoints(this, step, input, context);
      await this.append({ type: "step.applying", step: id });
      const output = await operation.apply(context, input, before.value, this.report(id));
      const data = { output: json(operation.output.parse(output) ?? null) };
      const failure = operation.failure?.(output);
      if (failure !== undefined) throw failure;
      await this.append({ type: "step.done", step: id, data });
    } catch (error) {
      if (timeout?.aborted === true) throw timedOut(step, error);
      throw this.endedBy(error);
    }
  }

  /** Steps of one stage lock at the same time: each adds to what the others have. */
  private async lock(targets: readonly string[]): Promise<void> {
    const extended = await this.surroundings.journal.extend(this.lease, targets);
    this.lease = { ...this.lease, targets: [...new Set([...this.lease.targets, ...extended.targets])] };
  }

  /** The context of one piece of work; `extra` ends it early too. */
  context(extra?: AbortSignal, stop: AbortSignal = this.stopSignal()): OperationContext {
    const signals = [this.surroundings.abort, this.lost.signal, ...(extra === undefined ? [] : [extra])];
    return {
      ...this.surroundings.context,
      signal: AbortSignal.any(signals),
      stop,
      safePoint: () => {
        if (stop.aborted)
          throw stop.reason instanceof InterruptedError ? stop.reason : new InterruptedError();
      },
      runId: this.state.id,
    };
  }

  report(step: string): Report {
    const { listener } = this.surroundings;
    const last = this.step(step)?.checkpoint;
    return {
      progress: (progress) => listener.progress(step, progress),
      log: (line) => listener.log(step, line),
      checkpoint: (data) => this.append({ type: "step.checkpoint", step, data }),
      last,
    };
  }

  /** What expressions see: everything that has ended so far. */
  scope(): Scope {
    const ended = [...this.state.steps.values()].filter((step) => step.status !== "running");
    return {
      inputs: this.state.request.inputs,
      steps: Object.fromEntries(
        ended.map((step) => [
          step.id,
          { status: step.status, ...(step.output === undefined ? {} : { output: step.output }) },
        ]),
      ),
      env: this.state.request.variables,
      environment: this.state.request.environment,
      run: { id: this.state.id },
    };
  }

  input(step: Step, scope: Scope): Record<string, unknown> {
    return evaluated(step, () => readInput(step, scope));
  }

  step(id: string): StepState | undefined {
    return this.state.steps.get(id);
  }

  /** An abort of ours comes out of a library in many shapes; the reason is what happened. */
  endedBy(error: unknown): unknown {
    if (this.lost.signal.aborted) return this.lost.signal.reason;
    return this.surroundings.abort.aborted
      ? new InterruptedError("Stopped at once because it was interrupted twice")
      : error;
  }

  private condition(step: Step, scope: Scope): boolean {
    if (typeof step.if !== "string") return step.if ?? true;
    const condition = step.if;
    const value = evaluated(step, () => render(parseCondition(condition), scope));
    if (typeof value === "boolean") return value;
    throw new OpsError(
      "E_EXPRESSION",
      `The condition of step ${step.id} gives ${JSON.stringify(value)}, not true or false`,
      {
        hint: `write a comparison: ${condition} == …`,
        retryable: false,
      },
    );
  }

  private lockNames(step: Step, input: Record<string, unknown>): string[] {
    const { environment } = this.surroundings;
    return (step.operation.targets?.(input, environment) ?? []).map((target) =>
      lockName(environment.name, target),
    );
  }

  /**
   * What was shown is what runs, unless an earlier step of this run changed the same targets on the way. Less than was
   * shown is fine: somebody else has done a part of it since.
   */
  private refuseOtherPlan(step: Step, changes: readonly Change[]): void {
    const planned = this.state.request.plannedChanges[step.id];
    if (planned === undefined) return;
    const shown = new Set(planned.map((each) => canonicalJson(json(each))));
    if (changes.every((each) => shown.has(canonicalJson(json(each))))) return;
    const touched = new Set(
      [...this.state.steps.values()]
        .filter((each) => each.applied)
        .flatMap((each) => each.changes.map((change) => change.target)),
    );
    if ([...planned, ...changes].some((change) => touched.has(change.target))) return;
    throw new OpsError("E_PLAN_CHANGED", `Step ${step.id} would now change something else than was planned`, {
      cause: new Error(`planned: ${summaries(planned)}; now: ${summaries(changes)}`),
      hint: "look at the new plan with: ops plan, then run again",
      details: json({ planned, now: changes }),
      retryable: false,
    });
  }

  private stopSignal(): AbortSignal {
    return this.surroundings.stop;
  }
}

function evaluated<T>(step: Step, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof ExpressionError ? expressionFailed(step, error) : error;
  }
}

function timedOut(step: Step, cause: unknown): OpsError {
  return new OpsError(
    "E_STEP_TIMEOUT",
    `Step ${step.id} took longer than its timeout of ${formatDuration(step.timeout ?? 0)}`,
    {
      cause: cause instanceof OpsError ? cause : undefined,
    },
  );
}

/** `on: [lock_timeout]` fits E_LOCK_TIMEOUT. */
function mayRetry(step: Step, error: unknown): boolean {
  const code = error instanceof OpsError ? error.code : "E_UNEXPECTED";
  const codes = step.retry?.on?.map(fullCode);
  return codes === undefined ? error instanceof OpsError && error.retryable : codes.includes(code);
}

/** The longest pause between two attempts, in milliseconds. */
const longestBackoff = 10 * 60_000;

/** Exponential backoff with up to 25% of jitter, in milliseconds. */
function pause(step: Step, attempt: number): number {
  const base = Math.min((step.retry?.backoff ?? 1000) * 2 ** (attempt - 1), longestBackoff);
  return Math.round(base * (1 + Math.random() / 4));
}

function summaries(changes: readonly Change[]): string {
  return changes.map((change) => change.summary).join(", ") || "nothing";
}

function json(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
