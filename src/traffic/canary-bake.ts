import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { StepResult } from "./canary-checkpoint.ts";
import type { CanaryInput } from "./canary-input.ts";
import { type Look, missingData, observedShare, reasonsToAbort } from "./canary-judge.ts";
import type { CanaryStep } from "./canary-steps.ts";
import { CanaryWindow } from "./canary-window.ts";
import { badRequests, settledRequests } from "./counters.ts";
import { driftError, sameWeights } from "./drift.ts";
import type { RequestTimesFollower } from "./request-times.ts";
import { sharesOf } from "./shares.ts";
import type { Reading, TrafficDriver } from "./traffic-driver.ts";

export type BakeVerdict =
  | { readonly verdict: "pass"; readonly result: StepResult }
  | {
      readonly verdict: "abort" | "inconclusive";
      readonly reasons: readonly string[];
      readonly result: StepResult;
    };

export interface Bake {
  readonly context: OperationContext;
  readonly route: string;
  readonly driver: TrafficDriver;
  readonly input: CanaryInput;
  readonly step: CanaryStep;
  readonly times: RequestTimesFollower | undefined;
  /** Called at every look. */
  onLook(result: StepResult, message: string): Promise<void>;
}

/** Milliseconds that even a short bake waits for its missing requests. */
const shortestExtension = 10_000;

/** Milliseconds that the balancer may not answer (a reload) before the canary is called blind. */
const blindLimit = 5000;

/**
 * Watches one step, whose weights are set, until there is a verdict. A step passes after its bake time with enough
 * requests; where they are missing it is given the extension, then it is inconclusive.
 */
export async function bake(setup: Bake): Promise<BakeVerdict> {
  const { context, route, driver, input, step, times } = setup;
  const { clock } = context;
  const limits = input["abort-when"];
  const minRequests = input["min-requests"];
  const extension = input.extend ?? Math.max(input.bake, shortestExtension);
  const share = sharesOf(step.weights)[input.to] ?? 0;
  times?.take();
  const window = new CanaryWindow(
    input.to,
    share,
    await look(driver, context),
    times ? "with-times" : "without-times",
  );
  const start = clock.elapsed();
  for (;;) {
    await pause(context, Math.min(input.interval, Math.max(1, start + input.bake - clock.elapsed())));
    const reading = await look(driver, context);
    const weights = Object.fromEntries(reading.map((each) => [each.version, each.weight]));
    if (!sameWeights(weights, step.weights)) throw driftError(route, weights, [step.weights]);
    window.add(clock.elapsed(), reading, times?.take());
    const seen = window.look();
    const baked = clock.elapsed() - start;
    const result = resultOf(seen, baked, window.restarts);
    await setup.onLook(result, progressMessage(result, input.bake));

    const reasons = reasonsToAbort(seen, limits, minRequests);
    if (reasons.length > 0) return { verdict: "abort", reasons, result };
    if (baked < input.bake) continue;
    const missing = missingData(seen, limits, minRequests);
    if (missing === undefined) {
      const got = observedShare(seen);
      if (got.verdict === "disagrees") return { verdict: "abort", reasons: [shareReason(seen, got)], result };
      return { verdict: "pass", result };
    }
    if (baked >= input.bake + extension) return { verdict: "inconclusive", reasons: [missing], result };
  }
}

/** A look that waits out a reload of the balancer. */
async function look(driver: TrafficDriver, context: OperationContext): Promise<Reading> {
  const { clock, signal } = context;
  const end = clock.elapsed() + blindLimit;
  for (;;) {
    try {
      return await driver.read(signal);
    } catch (error) {
      const passing = error instanceof OpsError && error.retryable;
      if (!passing || clock.elapsed() >= end) throw error;
      await pause(context, 200);
    }
  }
}

function resultOf(look: Look, baked: number, restarts: number): StepResult {
  const { counts, times } = look.sinceStart;
  const requests = settledRequests(counts);
  const errors = badRequests(counts);
  const observed = look.routeRequests === 0 ? null : (100 * counts.requests) / look.routeRequests;
  return {
    share: look.share,
    observedShare: observed,
    requests,
    errors,
    errorRate: requests === 0 ? 0 : (100 * errors) / requests,
    serverErrors: counts.serverErrors,
    connectionErrors: counts.connectionErrors,
    responseErrors: counts.responseErrors,
    retries: counts.retries,
    redispatches: counts.redispatches,
    p95: times?.percentile(95) ?? null,
    meanResponse: look.meanResponse ?? null,
    healthFailures: counts.failedChecks,
    bakedMs: Math.round(baked),
    restarts,
  };
}

function progressMessage(result: StepResult, bakeTime: number): string {
  const parts = [
    formatPercent(result.share),
    `${result.requests} requests`,
    `${result.errorRate.toFixed(1)}% bad`,
    ...(result.p95 === null ? [] : [`p95 ${result.p95} ms`]),
    `${formatDuration(result.bakedMs)} of ${formatDuration(bakeTime)}`,
  ];
  return parts.join(" · ");
}

function shareReason(look: Look, got: { readonly share: number; readonly requests: number }): string {
  return `${look.version} got ${formatPercent(100 * got.share)} of ${got.requests} requests instead of ${formatPercent(look.share)}`;
}
