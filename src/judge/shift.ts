import type { Interval } from "./interval.ts";
import { normalQuantile } from "./normal.ts";

/**
 * By how much the values of `current` are larger than those of `baseline`: the Hodges-Lehmann estimate, which is the
 * median of all differences of pairs, and the interval of all shifts that the Mann-Whitney test does not exclude. No
 * distribution is assumed, and single outliers do not count.
 *
 * Source: Hodges & Lehmann 1963; the interval as in Hollander & Wolfe, Nonparametric Statistical Methods, 4.3.
 *
 * @param confidence 0–1, of both ends together: 0.95
 */
export function shiftBetween(
  baseline: readonly number[],
  current: readonly number[],
  confidence: number,
): Interval {
  const [n, m] = [baseline.length, current.length];
  const differences = new Float64Array(n * m);
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j < m; j += 1) differences[i * m + j] = (current[j] ?? 0) - (baseline[i] ?? 0);
  differences.sort();
  // The shift that is looked for would take the ties between both sides away: the variance is that without them.
  const variance = (n * m * (n + m + 1)) / 12;
  const rank = Math.floor((n * m) / 2 - normalQuantile(1 - (1 - confidence) / 2) * Math.sqrt(variance));
  return {
    estimate: middle(differences),
    low: rank < 1 ? Number.NEGATIVE_INFINITY : (differences[rank - 1] ?? Number.NaN),
    high: rank < 1 ? Number.POSITIVE_INFINITY : (differences[n * m - rank] ?? Number.NaN),
  };
}

/**
 * The median of what a sample is from, and its interval by the order of the sample: the exact one of the binomial
 * distribution (Hollander & Wolfe, 3.6).
 */
export function medianOf(values: readonly number[], confidence: number): Interval {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  const tail = (1 - confidence) / 2;
  let [outside, term, rank] = [0, 0.5 ** n, 0];
  // The chance that fewer than `rank` + 1 values lie below the median.
  for (; rank < n / 2 && outside + term <= tail; rank += 1) {
    outside += term;
    term *= (n - rank) / (rank + 1);
  }
  return {
    estimate: middle(sorted),
    low: rank < 1 ? Number.NEGATIVE_INFINITY : (sorted[rank - 1] ?? Number.NaN),
    high: rank < 1 ? Number.POSITIVE_INFINITY : (sorted[n - rank] ?? Number.NaN),
  };
}

function middle(sorted: Float64Array): number {
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}
