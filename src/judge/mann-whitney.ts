/** How the values of two samples lie to each other, by their ranks alone. */
export interface RankComparison {
  /** How many standard deviations the values of `a` are larger than chance would have it; 0 where nothing can be said. */
  readonly z: number;
  /** The chance that a value of `a` is larger than one of `b` (equal ones count half), 0–1: the common-language effect. */
  readonly superiority: number;
  /** Cliff's delta, -1 to 1: `superiority` less the chance of the opposite. */
  readonly cliffsDelta: number;
  /** Variance of the number of pairs in which `a` is larger, where both come from the same source; less with ties. */
  readonly variance: number;
}

/**
 * The Mann-Whitney test with its normal approximation and correction for ties: how many standard deviations the
 * values of `a` are larger than those of `b`. 0 where all are equal or one side is empty.
 *
 * Source: Mann & Whitney 1947; the variance with ties as in Lehmann, Nonparametrics, 1.2.
 */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  return compareRanks(a, b).z;
}

/** The same test with its effect sizes (Cliff 1993; McGraw & Wong 1992). */
export function compareRanks(a: readonly number[], b: readonly number[]): RankComparison {
  const all = [...a.map((value) => ({ value, of: "a" })), ...b.map((value) => ({ value, of: "b" }))].sort(
    (x, y) => x.value - y.value,
  );
  const [n, m, total] = [a.length, b.length, a.length + b.length];
  if (n === 0 || m === 0) return { z: 0, superiority: 0.5, cliffsDelta: 0, variance: 0 };
  let [rankSum, ties] = [0, 0];
  for (let start = 0; start < total; ) {
    let [end, ofA] = [start, 0];
    for (; end < total && all[end]?.value === all[start]?.value; end += 1) if (all[end]?.of === "a") ofA += 1;
    const same = end - start;
    rankSum += ofA * ((start + 1 + end) / 2);
    ties += same ** 3 - same;
    start = end;
  }
  const larger = rankSum - (n * (n + 1)) / 2;
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)));
  const superiority = larger / (n * m);
  return {
    z: variance > 0 ? (larger - (n * m) / 2) / Math.sqrt(variance) : 0,
    superiority,
    cliffsDelta: 2 * superiority - 1,
    variance: Math.max(0, variance),
  };
}
