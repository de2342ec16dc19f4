import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import type { Sample } from "../run/sample.ts";
import { type BakeVerdict, bake } from "./canary-bake.ts";
import { type Checkpoint, placeToResume, type StepResult, stepResult } from "./canary-checkpoint.ts";
import { canaryFailure, giveTrafficBack, holdsTraffic } from "./canary-failure.ts";
import { CanaryGuard, earlierIsOver } from "./canary-guard.ts";
import { type CanaryInput, canaryInput } from "./canary-input.ts";
import { CanaryFiles } from "./canary-record.ts";
import { type CanaryStep, canarySteps, stepAt } from "./canary-steps.ts";
import { Comparison, type ComparisonState } from "./comparison.ts";
import { refuseDrift } from "./drift.ts";
import { learn, learnedLine } from "./learn.ts";
import { RequestTimesFollower } from "./request-times.ts";
import { type CountedRoute, openRoute, requireCounted } from "./route.ts";
import { formatShares, sharesOf } from "./shares.ts";
import { observeRoute, type RouteBefore, requireUp, restoreWeights } from "./shift.ts";
import type { Weights } from "./traffic-driver.ts";

const output = z.object({
  verdict: z.enum(["pass", "skipped"]).describe("skipped: by skip-bake; every other end is an error"),
  route: z.string(),
  version: z.string(),
  weights: z.record(z.string(), z.number()),
  steps: z.array(stepResult),
});

export const canary = defineOperation({
  name: "traffic.canary",
  summary: "Give a version more and more traffic, and all of it back as soon as it does badly",
  example: "traffic canary green --steps 10%,50%,100% --bake 10m",
  effect: "change",
  input: canaryInput,
  positional: ["to"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, input): Promise<RouteBefore> {
    const route = openRoute(context.environment, input.route);
    if (input["skip-bake"] === undefined) {
      const { requests } = requireCounted(route, "a canary");
      if (input["abort-when"].p95 !== undefined) await requests.requireTimes(context.signal);
    }
    return observeRoute(route, input.to, context.signal);
  },
  plan(before, { to, steps, bake: bakeTime, "skip-bake": skipped }) {
    if (skipped !== undefined) {
      const step = lastStep(canarySteps(before, to, steps));
      return [
        {
          target: `route:${before.route}`,
          action: "update" as const,
          summary: `give ${to} ${formatPercent(step.share)} of the traffic at once, unwatched: ${skipped}`,
          from: sharesOf(before.weights),
          to: sharesOf(step.weights),
        },
      ];
    }
    let from = before.weights;
    return canarySteps(before, to, steps).map((step) => {
      const change = {
        target: `route:${before.route}`,
        action: "update" as const,
        summary: `give ${to} ${formatPercent(step.share)} of the traffic and watch it for ${formatDuration(bakeTime)}`,
        from: sharesOf(from),
        to: sharesOf(step.weights),
      };
      from = step.weights;
      return change;
    });
  },
  async apply(context, input, before, report) {
    const opened = openRoute(context.environment, input.route);
    const steps = canarySteps(before, input.to, input.steps);
    await earlierIsOver(context, before.route);
    const present = await opened.driver.weights(context.signal);
    refuseDrift(before.route, present, [before.weights, ...steps.map((step) => step.weights)]);
    if (input["skip-bake"] !== undefined) {
      const { weights } = lastStep(steps);
      await requireUp(opened, input.to, context.signal);
      await opened.driver.setWeights(weights, context.signal);
      report.log(`gave ${input.to} ${formatShares(weights)} without a bake: ${input["skip-bake"]}`);
      return { verdict: "skipped" as const, route: before.route, version: input.to, weights, steps: [] };
    }
    const route = requireCounted(opened, "a canary");
    const place = placeToResume(report.last, before.weights, steps, present);
    await using times = followTimes(context, route, input);
    const guard = await CanaryGuard.begin(context, before, input.to, input["on-crash"]);
    const comparison = await compare(
      context,
      route,
      input,
      before,
      report,
      times,
      steps,
      place.comparison,
      guard,
    );

    const passed = [...place.passed];
    const samples: Sample[] = [];
    for (let index = place.step; index < steps.length; index += 1) {
      const canary = {
        context,
        input,
        before,
        route,
        report,
        times,
        comparison,
        guard,
        steps,
        passed,
        samples,
      };
      const result = await passOrGiveBack(canary, index);
      passed.push(result);
      report.log(passedLine(input.to, result));
    }
    const { weights } = lastStep(steps);
    await guard.over();
    await report.checkpoint(
      checkpoint("passed", steps.length, { passed, comparison, samples }, weights, null),
    );
    return { verdict: "pass" as const, route: before.route, version: input.to, weights, steps: passed };
  },
  async undo(context, { route }, before) {
    const result = await restoreWeights(context, openRoute(context.environment, route), before);
    const files = new CanaryFiles(context, before.route);
    const record = await files.read();
    if (record !== undefined && record.run === (context.runId ?? null)) await files.end(record.token);
    return result;
  },
  render({ route, version, weights, steps }) {
    return [
      ...steps.map((step) => passedLine(version, step)),
      `route ${route}: ${formatShares(weights)}`,
    ].join("\n");
  },
});

/** Undefined where nothing tells request times; a p95 limit was refused then. */
function followTimes(
  { clock }: OperationContext,
  { requests: { times } }: CountedRoute,
  input: CanaryInput,
): RequestTimesFollower | undefined {
  const wanted = input["abort-when"].p95 !== undefined || input.compare.alpha > 0;
  return wanted && times !== undefined ? new RequestTimesFollower(times, clock) : undefined;
}

/** Milliseconds that a route is watched before its canary, at most, where the input does not say. */
const longestLearning = 120_000;

async function compare(
  context: OperationContext,
  route: CountedRoute,
  input: CanaryInput,
  before: RouteBefore,
  report: Report,
  times: RequestTimesFollower | undefined,
  steps: readonly CanaryStep[],
  state: ComparisonState | undefined,
  guard: CanaryGuard,
): Promise<Comparison | undefined> {
  const { alpha, tolerate, learn: given } = input.compare;
  const others = steps.some(({ weights }) => (sharesOf(weights)[input.to] ?? 0) < 100);
  if (alpha === 0 || !others) return undefined;
  const settings = { alpha: alpha / 100, tolerate };
  if (state !== undefined) return new Comparison(input.to, settings, state.learned, state);
  const duration = given ?? Math.min(input.bake, longestLearning);
  const learned = await learn(context, route, times, duration, report, () => guard.refuseAborted()).catch(
    async (error: unknown) => {
      // Nothing was changed yet.
      await guard.over();
      throw error;
    },
  );
  report.log(learnedLine(before.route, learned));
  return new Comparison(input.to, settings, learned);
}

const lastStep = (steps: readonly CanaryStep[]) => stepAt(steps, steps.length - 1);

interface Canary {
  readonly context: OperationContext;
  readonly input: CanaryInput;
  readonly before: RouteBefore;
  readonly route: CountedRoute;
  readonly report: Report;
  readonly times: RequestTimesFollower | undefined;
  readonly comparison: Comparison | undefined;
  readonly guard: CanaryGuard;
  readonly steps: readonly CanaryStep[];
  readonly passed: readonly StepResult[];
  /** For the report of the run; each checkpoint takes those since the one before. */
  readonly samples: Sample[];
}

/** One step to its pass. Whatever else ends it throws, after the traffic is safe. */
async function passOrGiveBack(canary: Canary, index: number): Promise<StepResult> {
  const { context, input, before, route, report, guard, steps, passed } = canary;
  const step = stepAt(steps, index);
  try {
    const verdict = await bakeStep(canary, index, step);
    if (verdict.verdict !== "pass") throw canaryFailure(input, verdict, index, passed);
    return verdict.result;
  } catch (error) {
    if (holdsTraffic(error, input, context.signal)) {
      guard.held();
      report.log(`stopped at ${formatPercent(step.share)} for ${input.to}; the traffic stays as it is`);
      throw error;
    }
    // The traffic first; the journal can wait for the few milliseconds.
    await giveTrafficBack(route, before, step, error);
    await guard.over();
    report.log(`gave the traffic of route ${before.route} back: ${formatShares(before.weights)}`);
    await report.checkpoint(checkpoint("aborted", index, canary, before.weights, null));
    throw error;
  }
}

/** Milliseconds between checkpoints within one step. */
const checkpointEvery = 10_000;

async function bakeStep(canary: Canary, index: number, step: CanaryStep): Promise<BakeVerdict> {
  const { context, input, route, report, times, comparison, guard, steps } = canary;
  await requireUp(route, input.to, context.signal);
  await guard.refuseAborted();
  await route.driver.setWeights(step.weights, context.signal);
  // Somebody may have aborted it in between, and set the weights before we did.
  await guard.refuseAborted();
  await report.checkpoint(checkpoint("baking", index, canary, step.weights, null));
  let kept = 0;
  return bake({
    context,
    route,
    input,
    step,
    times,
    // Where it has everything, there is nobody to compare it with.
    comparison: (sharesOf(step.weights)[input.to] ?? 0) < 100 ? comparison : undefined,
    refuseAborted: () => guard.refuseAborted(),
    onSample: (sample) => canary.samples.push(sample),
    async onLook(result, message, sample) {
      const done = index * input.bake + Math.min(result.bakedMs, input.bake);
      report.progress({
        message,
        done,
        total: steps.length * input.bake,
        unit: "ms",
        ...(sample && { sample }),
      });
      if (result.bakedMs - kept < checkpointEvery) return;
      kept = result.bakedMs;
      await report.checkpoint(checkpoint("baking", index, canary, step.weights, result));
    },
  });
}

function checkpoint(
  phase: Checkpoint["phase"],
  step: number,
  { passed, comparison, samples }: Pick<Canary, "passed" | "comparison" | "samples">,
  weights: Weights,
  now: StepResult | null,
): Checkpoint {
  const state = comparison?.state ?? null;
  return { phase, step, passed: [...passed], weights, now, comparison: state, samples: samples.splice(0) };
}

function passedLine(version: string, result: StepResult): string {
  const p95 = result.p95 === null ? "" : `, p95 ${result.p95} ms`;
  return `${version} passed ${formatPercent(result.share)}: ${result.requests} requests, ${result.errors} bad (${result.errorRate.toFixed(1)}%)${p95}, ${formatDuration(result.bakedMs)}`;
}
