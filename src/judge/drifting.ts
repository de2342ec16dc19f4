import type { Interval } from "./interval.ts";

/**
 * The median of values that drift, of which nobody knows how far they would have gone on: within all that was seen, and
 * as much again on either side. No probability belongs to it; it is for limits that are far from everything seen.
 */
export function driftingMedian(values: readonly number[]): Interval {
  const [low, high] = rangeOf(values);
  return { estimate: middleOf(values), low: low - (high - low), high: high + (high - low) };
}

/** The same for the difference of two medians: the wider of both ranges may be missing on either side. */
export function driftingShift(baseline: readonly number[], current: readonly number[]): Interval {
  const [before, now] = [rangeOf(baseline), rangeOf(current)];
  const missing = Math.max(before[1] - before[0], now[1] - now[0]);
  return {
    estimate: middleOf(current) - middleOf(baseline),
    low: now[0] - before[1] - missing,
    high: now[1] - before[0] + missing,
  };
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  return values.reduce(
    ([low, high], each) => [Math.min(low, each), Math.max(high, each)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

function middleOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
