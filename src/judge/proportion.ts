import { dispersionOf } from "./dispersion.ts";
import type { Outcomes } from "./e-process.ts";
import type { Interval } from "./interval.ts";
import { normalQuantile } from "./normal.ts";

/**
 * What the share of bad requests may be, 0–1: Wilson's interval (1927), which is right for few requests and for none
 * that is bad too.
 */
export function shareOf(stretches: readonly Outcomes[], confidence: number): Interval {
  const { requests, bad } = counted(stretches);
  if (requests === 0) return { estimate: Number.NaN, low: 0, high: 1 };
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const share = bad / requests;
  const denominator = 1 + z ** 2 / requests;
  const centre = (share + z ** 2 / (2 * requests)) / denominator;
  const reach =
    (z * Math.sqrt((share * (1 - share)) / requests + z ** 2 / (4 * requests ** 2))) / denominator;
  return { estimate: share, low: Math.max(0, centre - reach), high: Math.min(1, centre + reach) };
}

/**
 * By how much the share of bad requests has grown, in shares: 0.01 is one percentage point.
 *
 * Source: Newcombe 1998, method 10, of two Wilson intervals.
 */
export function shareIncrease(
  baseline: readonly Outcomes[],
  current: readonly Outcomes[],
  confidence: number,
): Interval {
  const [before, now] = [shareOf(baseline, confidence), shareOf(current, confidence)];
  const estimate = now.estimate - before.estimate;
  return {
    estimate,
    low: estimate - Math.hypot(now.estimate - now.low, before.high - before.estimate),
    high: estimate + Math.hypot(now.high - now.estimate, before.estimate - before.low),
  };
}

/** Errors come in bursts: a burst is one event, however many requests it hits. Counts are divided by its mean size. */
function counted(stretches: readonly Outcomes[]): Outcomes {
  const dispersion = dispersionOf(stretches);
  return {
    requests: stretches.reduce((sum, each) => sum + each.requests, 0) / dispersion,
    bad: stretches.reduce((sum, each) => sum + each.bad, 0) / dispersion,
  };
}
