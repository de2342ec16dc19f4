import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { FlagDefinition } from "../flag-source/definition.ts";
import type { RequestTimesFollower } from "../request-source/request-times.ts";
import { type Bake, bake, type Failed } from "../rollout/bake.ts";
import { type Comparison, unlearned } from "../rollout/comparison.ts";
import { awaitPromotion, type Promotion } from "../rollout/promotion.ts";
import type { Pause } from "../rollout/step-field.ts";
import type { StepResult } from "../rollout/step-result.ts";
import { figureParts, verdictLine } from "../rollout/verdict-line.ts";
import type { OperationContext } from "../run/context.ts";
import { noGo, renderGate } from "../run/gate-verdict.ts";
import { measureGate } from "../run/measure-gate.ts";
import type { Report } from "../run/operation.ts";
import type { Sample } from "../run/sample.ts";
import type { RampCheckpoint, RampPlace, RampStepResult } from "./ramp-checkpoint.ts";
import { holdsFlag, isOthers, rampFailure, takeFlagBack } from "./ramp-failure.ts";
import type { RampFlag, RampTrace } from "./ramp-flag.ts";
import type { RampInput } from "./ramp-input.ts";
import type { RampGuard } from "./ramp-record.ts";
import { type RampPlan, type RampStep, rampStepAt } from "./ramp-steps.ts";
import { bakeByTime, pauseByTime, type TimedStep } from "./ramp-wait.ts";
import type { WatchedFlag } from "./ramp-watched.ts";

/** What a ramp works with. */
export interface RampParts {
  readonly context: OperationContext;
  readonly input: RampInput;
  readonly plan: RampPlan;
  readonly trace: RampTrace;
  readonly flag: RampFlag;
  /** Undefined where only time and the gate judge. */
  readonly watched: WatchedFlag | undefined;
  readonly times: RequestTimesFollower | undefined;
  readonly comparison: Comparison | undefined;
  readonly guard: RampGuard;
  readonly report: Report;
}

/** Milliseconds between checkpoints within one bake. */
const checkpointEvery = 10_000;
/** Milliseconds that a sample in the journal is long, at most, and how many a bake of a step has, at least. */
const [keptEvery, keptEach] = [10_000, 30];
/** Milliseconds that a check of the gate without a timeout of its own may take. */
const checkTimeout = 30_000;

/** The steps of one ramp, from where it is to its end. */
export class RampRun {
  readonly passed: RampStepResult[];
  readonly promotions: Promotion[];
  private readonly parts: RampParts;
  private readonly place: RampPlace;
  /** For the report of the run; each checkpoint takes those since the one before. */
  private readonly samples: Sample[] = [];
  /** The verdict of the step that did not pass. */
  private failed: Failed | undefined;
  /** What the flag is, as far as this ramp knows. */
  private present: FlagDefinition;

  /** @param present what the flag is: of before, or of a step */
  constructor(parts: RampParts, place: RampPlace, present: FlagDefinition) {
    this.parts = parts;
    this.place = place;
    this.present = present;
    this.passed = [...place.passed];
    this.promotions = [...place.promotions];
  }

  /** All steps to their pass. Whatever else ends it throws, after the flag is safe. */
  async toTheEnd(): Promise<void> {
    const { plan, guard } = this.parts;
    for (let index = this.place.step; index < plan.steps.length; index += 1) {
      const step = rampStepAt(plan.steps, index);
      try {
        await this.pass(index, step, index === this.place.step ? this.place.phase : "baking");
      } catch (error) {
        throw await this.madeSafe(index, error);
      }
    }
    await guard.over();
    await this.checkpoint("passed", plan.steps.length);
  }

  private async pass(index: number, step: RampStep, phase: RampPlace["phase"]): Promise<void> {
    const { guard, report } = this.parts;
    await guard.refuseAborted();
    if (step.stage === "share" && phase === "baking") {
      if (this.passed.length === 0) await this.gate();
      await this.checkpoint("baking", index);
      await this.give(step);
      const { bakedMs, figures } = await this.bake(index, step);
      const result = { share: step.share, bakedMs, figures, gate: await this.gate() };
      this.passed.push(result);
      report.log(passedLine(this.parts.plan.to, result));
    } else await this.give(step);
    if (step.pause !== undefined) await this.pause(index, step, step.pause);
  }

  private async give(step: RampStep): Promise<void> {
    const { flag, guard, input, watched } = this.parts;
    try {
      await flag.give(step.definition, this.present, input.reason);
    } catch (error) {
      // Who aborts it is somebody else as well.
      await guard.refuseAborted();
      throw error;
    }
    this.present = step.definition;
    watched?.at(step);
    // Somebody may have aborted it in between, and made the flag what it was before we did.
    await guard.refuseAborted();
  }

  private async bake(index: number, step: RampStep): Promise<Pick<RampStepResult, "bakedMs" | "figures">> {
    const { input, watched } = this.parts;
    if (watched === undefined) {
      return { bakedMs: await bakeByTime(this.timed("baking", index, step), input.bake), figures: null };
    }
    const verdict = await bake(this.watching(watched, "baking", index, step));
    if (verdict.verdict !== "pass") throw this.failure(verdict, step);
    const { bakedMs, requests, errors, errorRate, p95, comparison } = verdict.result;
    return { bakedMs, figures: { requests, errors, errorRate, p95, comparison } };
  }

  private async pause(index: number, step: RampStep, pause: Pause): Promise<void> {
    const { context, input, plan, report, guard } = this.parts;
    await this.checkpoint("paused", index);
    const now = context.clock.now();
    const until = pause.pause === null ? null : new Date(now.getTime() + pause.pause).toISOString();
    await guard.paused({ step: index, share: step.share, since: now.toISOString(), until });
    const limit = pause.pause === null ? "" : ` for ${formatDuration(pause.pause)}`;
    report.log(
      `${plan.to} is paused at ${formatPercent(step.share)}${limit}; go on: ops flag promote ${input.flag}`,
    );
    const promotion = await this.awaitPromotion(index, step, pause);
    await guard.goesOn();
    this.promotions.push(promotion);
    report.log(promotedLine(plan.to, promotion));
    // Nobody is asked twice, whatever happens before the next step is given.
    await this.checkpoint(index === plan.steps.length - 1 ? "passed" : "baking", index + 1);
  }

  private async awaitPromotion(index: number, step: RampStep, pause: Pause): Promise<Promotion> {
    const { context, input, watched, guard, plan } = this.parts;
    const promotion = () => guard.promotion(index);
    if (watched !== undefined) {
      const setup = this.watching(watched, "paused", index, step);
      const verdict = await awaitPromotion({ ...setup, pause, promotion });
      if (verdict.verdict === "promoted") return verdict.promotion;
      throw this.failure(verdict, step);
    }
    const promote = `ops flag promote ${input.flag}`;
    const found = await pauseByTime(this.timed("paused", index, step), pause, promote, promotion);
    if (found !== undefined) return found;
    const limit = pause.pause ?? 0;
    if (input.unpromoted === "promote") {
      const at = context.clock.now().toISOString();
      return { by: "the time of the pause", reason: null, at, share: step.share, waitedMs: limit };
    }
    const reason = `nobody promoted ${plan.to} at ${formatPercent(step.share)} in ${formatDuration(limit)}`;
    const failed = { verdict: "unpromoted" as const, reasons: [reason], result: null };
    throw rampFailure(input, failed, step.share, this.passed);
  }

  private failure(verdict: Failed, { share }: RampStep): Error {
    this.failed = verdict;
    return rampFailure(this.parts.input, verdict, share, this.passed);
  }

  private logFailed(): void {
    const { plan, report } = this.parts;
    if (this.failed !== undefined) report.log(verdictLine(plan.to, this.failed.verdict, this.failed.result));
  }

  /** Throws `E_NO_GO` where the gate says so. Null without a gate. */
  private async gate(): Promise<RampStepResult["gate"]> {
    const { context, input, report } = this.parts;
    if (input.gate === undefined) return null;
    const result = await measureGate(context, input.gate, checkTimeout, (each, done, total) =>
      report.progress({ message: `gate ${input.gate}: ${each.id} ${each.status}`, done, total }),
    );
    if (result.verdict === "no-go") {
      for (const line of renderGate(result).split("\n")) report.log(line);
      throw noGo(result);
    }
    const checks = result.checks.map(({ id, status, reason }) => ({ id, status, reason }));
    return { gate: result.gate, verdict: result.verdict, checks };
  }

  private timed(phase: RampPlace["phase"], index: number, step: RampStep): TimedStep {
    const { context, input, flag, guard, report } = this.parts;
    return {
      context,
      flag,
      step,
      interval: input.interval,
      refuseAborted: () => guard.refuseAborted(),
      onLook: (waited, { message }) =>
        report.progress({ message, ...(phase === "baking" && this.progress(index, waited)) }),
    };
  }

  private watching(watched: WatchedFlag, phase: RampPlace["phase"], index: number, step: RampStep): Bake {
    const { context, input, plan, report, times, comparison, guard } = this.parts;
    let kept = 0;
    return {
      context,
      route: watched,
      input: { ...input, to: plan.to },
      step,
      times,
      // Where everybody has it or nobody, there is nobody to compare with.
      comparison: step.share > 0 && step.share < 100 ? comparison : undefined,
      learned: comparison?.learned ?? unlearned,
      refuseAborted: () => guard.refuseAborted(),
      sampleEvery: phase === "baking" ? Math.min(keptEvery, input.bake / keptEach) : keptEvery,
      onSample: (sample) => this.samples.push(sample),
      onLook: async (result: StepResult, message, sample) => {
        const progress = phase === "baking" ? this.progress(index, result.bakedMs) : {};
        report.progress({ message, ...progress, ...(sample && { sample }) });
        if (result.bakedMs - kept < checkpointEvery) return;
        kept = result.bakedMs;
        await this.checkpoint(phase, index);
      },
    };
  }

  /** How long somebody takes to promote it is nobody's to say. */
  private progress(index: number, baked: number) {
    const { input, plan } = this.parts;
    const done = index * input.bake + Math.min(baked, input.bake);
    const total = plan.steps.length * input.bake;
    return { done, total, unit: "ms" as const, leftMs: total - done };
  }

  /** The flag is taken back, or stays on purpose; what to throw then. */
  private async madeSafe(index: number, error: unknown): Promise<unknown> {
    const { context, input, trace, report, guard } = this.parts;
    if (holdsFlag(error, input, context)) {
      if (isOthers(error)) await guard.over();
      else guard.held();
      this.logFailed();
      report.log(`the ramp has stopped; flag ${input.flag} stays as it is`);
      return error;
    }
    // The flag first; the journal can wait for the few milliseconds.
    const back = await takeFlagBack(context, trace, error);
    this.logFailed();
    report.log(back);
    await guard.over();
    await this.checkpoint("aborted", index);
    return error;
  }

  private async checkpoint(phase: RampCheckpoint["phase"], step: number): Promise<void> {
    const { report, comparison } = this.parts;
    const data: RampCheckpoint = {
      phase,
      step,
      passed: [...this.passed],
      promotions: [...this.promotions],
      comparison: comparison?.state ?? null,
      samples: this.samples.splice(0),
    };
    await report.checkpoint(data);
  }
}

export function passedLine(variant: string, { share, bakedMs, figures, gate }: RampStepResult): string {
  const parts = [
    ...(figures === null ? [] : figureParts(figures)),
    ...(gate === null ? [] : [`gate ${gate.gate}: ${gate.verdict}`]),
    formatDuration(bakedMs),
  ];
  return `${variant} passed ${formatPercent(share)}: ${parts.join(", ")}`;
}

export function promotedLine(variant: string, { by, share, reason, waitedMs }: Promotion): string {
  const why = reason === null ? "" : `: ${reason}`;
  return `${by} promoted ${variant} at ${formatPercent(share)} after ${formatDuration(waitedMs)}${why}`;
}
