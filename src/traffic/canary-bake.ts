import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { Sample } from "../run/sample.ts";
import type { StepResult } from "./canary-checkpoint.ts";
import type { CanaryInput } from "./canary-input.ts";
import { type Look, missingData, observedShare, reasonsToAbort } from "./canary-judge.ts";
import { look } from "./canary-look.ts";
import { CanarySamples } from "./canary-samples.ts";
import type { CanaryStep } from "./canary-steps.ts";
import { CanaryWindow } from "./canary-window.ts";
import type { Comparison, Finding } from "./comparison.ts";
import { comparisonReasons, formatEvidence, suspicions } from "./comparison-reasons.ts";
import { badRequests, settledRequests } from "./counters.ts";
import { driftError, sameWeights } from "./drift.ts";
import type { Reading } from "./request-source.ts";
import type { RequestTimesFollower } from "./request-times.ts";
import type { CountedRoute } from "./route.ts";
import { sharesOf } from "./shares.ts";

export type BakeVerdict =
  | { readonly verdict: "pass"; readonly result: StepResult }
  | {
      readonly verdict: "abort" | "inconclusive";
      readonly reasons: readonly string[];
      readonly result: StepResult;
    };

export interface Bake {
  readonly context: OperationContext;
  readonly route: CountedRoute;
  readonly input: CanaryInput;
  readonly step: CanaryStep;
  readonly times: RequestTimesFollower | undefined;
  /** Undefined where nothing is compared. */
  readonly comparison: Comparison | undefined;
  /** Throws where somebody has aborted the canary. */
  refuseAborted(): Promise<void>;
  /** Called at every look, with what was measured since the last one. */
  onLook(result: StepResult, message: string, sample: Sample | undefined): Promise<void>;
  /** Called now and then, with a sample for the journal. */
  onSample(sample: Sample): void;
}

/** Milliseconds that a sample in the journal is long, at most, and how many a bake of a step has, at least. */
const [keptEvery, keptEach] = [10_000, 30];

/** Milliseconds that even a short bake waits for its share and for its missing requests. */
const shortestWait = 10_000;

/**
 * Watches one step, whose weights are set, until there is a verdict. The bake begins when the share has shown in the
 * requests (and the warm-up is over); a step passes after its time with enough requests and nothing suspicious. It is
 * extended where that is missing, then it is inconclusive.
 */
export async function bake(setup: Bake): Promise<BakeVerdict> {
  const { context, route, input, step, times, comparison } = setup;
  const { clock } = context;
  const limits = input["abort-when"];
  const minRequests = input["min-requests"];
  const extension = (input.extend ?? Math.max(input.bake, shortestWait)) * input.extensions;
  const deadline = input.deadline ?? Math.max(input.bake, shortestWait);
  const share = sharesOf(step.weights)[input.to] ?? 0;

  const windowFrom = (reading: Reading) => {
    times?.take();
    comparison?.begin(reading);
    return new CanaryWindow(input.to, share, reading, times ? "with-times" : "without-times");
  };
  const first = await look(route, context);
  let window = windowFrom(first);
  const start = clock.elapsed();
  const live = new CanarySamples(0, start, first);
  const kept = new CanarySamples(Math.min(keptEvery, input.bake / keptEach), start, first);
  let warm = input["warm-up"] === 0;
  let bakeStart: number | undefined;
  for (;;) {
    const end = bakeStart === undefined ? clock.elapsed() + input.interval : bakeStart + input.bake;
    await pause(context, Math.min(input.interval, Math.max(1, end - clock.elapsed())));
    const reading = await look(route, context);
    await setup.refuseAborted();
    const weights = Object.fromEntries(reading.map((each) => [each.version, each.weight]));
    if (!sameWeights(weights, step.weights)) throw driftError(route.target.name, weights, [step.weights]);
    const taken = times?.take();
    window.add(clock.elapsed(), reading, taken?.get(input.to));
    if (warm) comparison?.add(reading, taken);
    const seen = window.look();
    const got = observedShare(seen);
    const baked = bakeStart === undefined ? 0 : clock.elapsed() - bakeStart;
    const findings = comparison?.findings ?? [];
    const result = resultOf(seen, baked, window.restarts, findings);
    const measured = [clock.elapsed(), clock.now(), reading, taken, findings] as const;
    const message = progressMessage(result, input.bake, bakeStart !== undefined, warm);
    await setup.onLook(result, message, live.add(...measured));

    const reasons = [
      ...reasonsToAbort(seen, limits, minRequests).filter(() => warm || seen.health === "down"),
      ...(warm ? comparisonReasons(seen, findings) : []),
    ];
    const sample = kept.add(...measured, reasons.length > 0);
    if (sample !== undefined) setup.onSample(sample);
    if (reasons.length > 0) return { verdict: "abort", reasons, result };
    if (bakeStart === undefined) {
      const waited = clock.elapsed() - start;
      if (got.verdict === "agrees" && !warm && waited >= input["warm-up"]) {
        window = windowFrom(reading);
        warm = true;
      }
      if (got.verdict === "agrees" && warm) bakeStart = clock.elapsed();
      else if (waited < deadline + input["warm-up"]) continue;
      else if (got.verdict === "disagrees") {
        return { verdict: "abort", reasons: [shareReason(seen, got)], result };
      } else if (got.verdict === "unknown") {
        const missing = missingData(seen, limits, minRequests) ?? unseen(got.requests, waited);
        return { verdict: "inconclusive", reasons: [missing], result };
      }
      continue;
    }
    if (baked < input.bake) continue;
    const missing = missingData(seen, limits, minRequests) ?? suspicions(seen, findings)[0];
    if (missing === undefined) {
      if (got.verdict === "disagrees") return { verdict: "abort", reasons: [shareReason(seen, got)], result };
      return { verdict: "pass", result };
    }
    if (baked >= input.bake + extension) return { verdict: "inconclusive", reasons: [missing], result };
  }
}

function resultOf(look: Look, baked: number, restarts: number, comparison: readonly Finding[]): StepResult {
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
    comparison: [...comparison],
  };
}

function progressMessage(result: StepResult, bakeTime: number, baking: boolean, warm: boolean): string {
  const time = baking
    ? `${formatDuration(result.bakedMs)} of ${formatDuration(bakeTime)}`
    : warm
      ? "waiting for the share to show"
      : "warming up";
  const parts = [
    formatPercent(result.share),
    `${result.requests} requests`,
    `${result.errorRate.toFixed(1)}% bad`,
    ...(result.p95 === null ? [] : [`p95 ${result.p95} ms`]),
    ...result.comparison
      .filter(({ evidence }) => evidence >= 2)
      .map(({ of, evidence, threshold }) => `${of}: e-value ${formatEvidence(evidence)} of ${threshold}`),
    time,
  ];
  return parts.join(" · ");
}

function shareReason(look: Look, got: { readonly share: number; readonly requests: number }): string {
  return `${look.version} got ${formatPercent(100 * got.share)} of ${got.requests} requests instead of ${formatPercent(look.share)}`;
}

function unseen(requests: number, waited: number): string {
  return `only ${requests} requests of the route were seen in ${formatDuration(waited)}, too few to confirm the share`;
}
