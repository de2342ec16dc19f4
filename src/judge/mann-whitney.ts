/**
 * The Mann-Whitney test with its normal approximation and correction for ties: how many standard deviations the
 * values of `a` are larger than those of `b`. 0 where all are equal or one side is empty.
 *
 * Source: Mann & Whitney 1947; the variance with ties as in Lehmann, Nonparametrics, 1.2.
 */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, of: "a" })), ...b.map((value) => ({ value, of: "b" }))].sort(
    (x, y) => x.value - y.value,
  );
  const [n, m, total] = [a.length, b.length, a.length + b.length];
  let [rankSum, ties] = [0, 0];
  for (let start = 0; start < total; ) {
    let end = start;
    while (end < total && all[end]?.value === all[start]?.value) end += 1;
    const same = end - start;
    const ofA = all.slice(start, end).filter((each) => each.of === "a").length;
    rankSum += ofA * ((start + 1 + end) / 2);
    ties += same ** 3 - same;
    start = end;
  }
  const u = rankSum - (n * (n + 1)) / 2;
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)));
  return n === 0 || m === 0 || !(variance > 0) ? 0 : (u - (n * m) / 2) / Math.sqrt(variance);
}
