import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { RequestTimesFollower } from "../request-source/request-times.ts";
import { type Bake, bake, type Failed } from "../rollout/bake.ts";
import { type Comparison, unlearned } from "../rollout/comparison.ts";
import { awaitPromotion, type Promotion } from "../rollout/promotion.ts";
import { formatShares, sharesOf } from "../rollout/shares.ts";
import type { Pause } from "../rollout/step-field.ts";
import type { StepResult } from "../rollout/step-result.ts";
import { verdictLine } from "../rollout/verdict-line.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { Sample } from "../run/sample.ts";
import type { Checkpoint, Place } from "./canary-checkpoint.ts";
import {
  type Drained,
  drain,
  drainedLine,
  formatInFlight,
  type InFlight,
  released,
  stillAt,
} from "./canary-drain.ts";
import { canaryFailure, giveTrafficBack, holdsTraffic } from "./canary-failure.ts";
import type { CanaryGuard } from "./canary-guard.ts";
import type { CanaryInput } from "./canary-input.ts";
import { type CanaryStep, lastStep, stepAt } from "./canary-steps.ts";
import { refuseDrift } from "./drift.ts";
import { type CountedRoute, counted } from "./route.ts";
import { type RouteBefore, requireUp } from "./shift.ts";
import { dismissTesters, openTesters, requireTesters } from "./testers.ts";

/** What a canary works with. */
export interface CanaryParts {
  readonly context: OperationContext;
  readonly input: CanaryInput;
  readonly before: RouteBefore;
  readonly route: CountedRoute;
  readonly report: Report;
  readonly times: RequestTimesFollower | undefined;
  readonly comparison: Comparison | undefined;
  readonly guard: CanaryGuard;
  readonly steps: readonly CanaryStep[];
}

/** Milliseconds between checkpoints within one bake. */
const checkpointEvery = 10_000;

/** Milliseconds that a sample in the journal is long, at most, and how many a bake of a step has, at least. */
const [keptEvery, keptEach] = [10_000, 30];

/** The steps of one canary, from where it is to its end. */
export class CanaryRun {
  readonly passed: StepResult[];
  readonly promotions: Promotion[];
  /** What was left at the versions that have lost their traffic; null: nothing was waited for, or it cannot be told. */
  inFlight: InFlight = null;
  /** How those versions were seen; null: nothing was waited for. */
  drained: Drained | null = null;
  private readonly parts: CanaryParts;
  /** For the report of the run; each checkpoint takes those since the one before. */
  private readonly samples: Sample[] = [];
  private readonly place: Place;
  /** The verdict of the step that did not pass. */
  private failed: Failed | undefined;

  constructor(parts: CanaryParts, place: Place) {
    this.parts = parts;
    this.place = place;
    this.passed = [...place.passed];
    this.promotions = [...place.promotions];
  }

  /** All steps to their pass. Whatever else ends it throws, after the traffic is safe. */
  async toTheEnd(): Promise<void> {
    const { steps, guard } = this.parts;
    for (let index = this.place.step; index < steps.length; index += 1) {
      const step = stepAt(steps, index);
      const phase = index === this.place.step ? this.place.phase : "baking";
      try {
        await this.pass(index, step, phase);
      } catch (error) {
        throw await this.madeSafe(index, step, error);
      }
    }
    await guard.passed();
    await this.checkpoint("passed", steps.length, lastStep(steps), null);
  }

  private async pass(index: number, step: CanaryStep, phase: Place["phase"]): Promise<void> {
    const { context, input, route, guard, steps, before } = this.parts;
    await requireUp(route, input.to, context.signal);
    await guard.refuseAborted();
    if (index === this.place.step) await this.inviteTesters();
    await this.setWeights(step);
    if (phase === "baking" && step.stage === "share") await this.bake(index, step);
    if (phase !== "draining" && step.pause !== undefined) await this.pause(index, step, step.pause);
    const others = released(before.weights, step.weights);
    if (index < steps.length - 1) return;
    if (others.length > 0) await this.drain(index, step, others);
    // Whoever is sent there by name would go there without it.
    if (isWhole(step, input.to)) await dismissTesters(route.target, input.to, context.signal);
  }

  /** What has its own counts is no part of the share, so they may come and go at any time. */
  private async inviteTesters(): Promise<void> {
    const { context, input, route, report } = this.parts;
    if (input.testers.length === 0) return;
    await requireTesters(route.target).add(input.testers, input.to, context.signal);
    report.log(`testers have ${input.to}: ${input.testers.join(", ")}`);
  }

  private async setWeights(step: CanaryStep): Promise<void> {
    const { context, route, guard, steps, before } = this.parts;
    const { driver } = route;
    const present = await driver.weights(context.signal);
    try {
      refuseDrift(before.route, present, [before.weights, ...steps.map(({ weights }) => weights)]);
      await driver.setWeights(step.weights, context.signal, present);
    } catch (error) {
      // Who aborts it is somebody else as well.
      await guard.refuseAborted();
      throw error;
    }
    // Somebody may have aborted it in between, and set the weights before we did.
    await guard.refuseAborted();
  }

  private async bake(index: number, step: CanaryStep): Promise<void> {
    const { input, report } = this.parts;
    await this.checkpoint("baking", index, step, null);
    const verdict = await bake(this.watching("baking", index, step));
    if (verdict.verdict !== "pass") throw this.failure(verdict, index);
    this.passed.push(verdict.result);
    report.log(verdictLine(input.to, "pass", verdict.result));
  }

  private async pause(index: number, step: CanaryStep, pause: Pause): Promise<void> {
    const { context, input, route, report, guard } = this.parts;
    const { clock } = context;
    await this.checkpoint("paused", index, step, null);
    const now = clock.now();
    const until = pause.pause === null ? null : new Date(now.getTime() + pause.pause).toISOString();
    await guard.paused({ step: index, share: step.share, since: now.toISOString(), until });
    report.log(
      `${input.to} is paused at ${formatPercent(step.share)}${pause.pause === null ? "" : ` for ${formatDuration(pause.pause)}`}; go on: ops traffic promote ${route.target.name}`,
    );
    const verdict = await awaitPromotion({
      ...this.watching("paused", index, step),
      pause,
      promotion: () => guard.promotion(index),
    });
    await guard.goesOn();
    if (verdict.verdict !== "promoted") throw this.failure(verdict, index);
    this.promotions.push(verdict.promotion);
    report.log(promotedLine(input.to, verdict.promotion));
    // Nobody is asked twice, whatever happens before the next step has its share.
    const isLast = index === this.parts.steps.length - 1;
    await this.checkpoint(isLast ? "draining" : "baking", isLast ? index : index + 1, step, null);
  }

  private async drain(index: number, step: CanaryStep, others: readonly string[]): Promise<void> {
    const { input, report } = this.parts;
    await this.checkpoint("draining", index, step, null);
    const verdict = await drain(this.watching("draining", index, step), others, input.drain);
    if (verdict.verdict !== "drained") throw this.failure(verdict, index);
    [this.inFlight, this.drained] = [verdict.inFlight, verdict.drained];
    const line = drainedLine(verdict.drained, verdict.inFlight);
    if (line !== undefined) report.log(line);
  }

  private watching(phase: Place["phase"], index: number, step: CanaryStep): Bake {
    const { context, input, route, report, times, comparison, guard, steps } = this.parts;
    let kept = 0;
    const testers = openTesters(route.target);
    return {
      context,
      // Before any share is given, testers are all there is.
      route:
        step.stage === "before" && testers !== undefined
          ? counted({ ...route, requests: testers.requests })
          : route,
      input,
      step,
      times,
      // Where it has everything or nothing, there is nobody to compare it with.
      comparison: isShared(step, input.to) ? comparison : undefined,
      learned: comparison?.learned ?? unlearned,
      refuseAborted: () => guard.refuseAborted(),
      sampleEvery: phase === "baking" ? Math.min(keptEvery, input.bake / keptEach) : keptEvery,
      onSample: (sample) => this.samples.push(sample),
      onLook: async (result, message, sample) => {
        const baked = phase === "baking" ? Math.min(result.bakedMs, input.bake) : input.bake;
        const done = index * input.bake + baked;
        const total = steps.length * input.bake;
        // How long somebody takes to promote it is nobody's to say.
        const progress = phase === "paused" ? {} : { done, total, unit: "ms" as const, leftMs: total - done };
        report.progress({ message, ...progress, ...(sample && { sample }) });
        if (result.bakedMs - kept < checkpointEvery) return;
        kept = result.bakedMs;
        await this.checkpoint(phase, index, step, result);
      },
    };
  }

  /** The traffic goes back, or stays on purpose; what to throw then. */
  private async madeSafe(index: number, step: CanaryStep, error: unknown): Promise<unknown> {
    const { context, input, before, route, report, guard } = this.parts;
    const share = formatPercent(step.share);
    if (holdsTraffic(error, input, context)) {
      guard.held();
      this.logFailed();
      report.log(`stopped at ${share} for ${input.to}; the traffic stays as it is`);
      return error;
    }
    // The traffic first; the journal can wait for the few milliseconds.
    await giveTrafficBack(route, before, step, input.to, error);
    await guard.over();
    this.logFailed();
    report.log(`gave the traffic of route ${before.route} back: ${formatShares(before.weights)}`);
    const left = formatInFlight(await stillAt(route.driver, input.to));
    if (left !== undefined) report.log(`still under way: ${left}`);
    await this.checkpoint("aborted", index, { weights: before.weights }, null);
    return error;
  }

  private logFailed(): void {
    const { input, report } = this.parts;
    if (this.failed !== undefined) report.log(verdictLine(input.to, this.failed.verdict, this.failed.result));
  }

  private failure(verdict: Failed, index: number): Error {
    this.failed = verdict;
    return canaryFailure(this.parts.input, verdict, index, this.passed);
  }

  private async checkpoint(
    phase: Checkpoint["phase"],
    step: number,
    { weights }: Pick<CanaryStep, "weights">,
    now: StepResult | null,
  ): Promise<void> {
    const { report, comparison } = this.parts;
    const data: Checkpoint = {
      phase,
      step,
      passed: [...this.passed],
      promotions: [...this.promotions],
      weights,
      now,
      comparison: comparison?.state ?? null,
      samples: this.samples.splice(0),
    };
    await report.checkpoint(data);
  }
}

export function isWhole({ weights }: CanaryStep, version: string): boolean {
  return sharesOf(weights)[version] === 100;
}

/** Whether the version and others have traffic in this step. */
export function isShared({ weights }: CanaryStep, version: string): boolean {
  const share = sharesOf(weights)[version] ?? 0;
  return share > 0 && share < 100;
}

export function promotedLine(version: string, { by, share, reason, waitedMs }: Promotion): string {
  const why = reason === null ? "" : `: ${reason}`;
  return `${by} promoted ${version} at ${formatPercent(share)} after ${formatDuration(waitedMs)}${why}`;
}
