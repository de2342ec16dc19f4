/** A sample whose values do not depend on the ones before them, as far as that can be seen. */
export interface Independent {
  readonly values: readonly number[];
  /** How many neighbours were averaged into one value. */
  readonly batch: number;
}

/**
 * What is measured every few seconds is much like what was measured just before, and 300 such values say as little as
 * perhaps 30: a test that took them for independent would see a difference in every drift. Neighbours are averaged,
 * twice as many each time, until values are like their neighbours no more than chance has it (batch means, Law & Kelton,
 * Simulation Modeling and Analysis, 9.5).
 *
 * @param least as few values may be left; undefined where they would be fewer
 */
export function independentValues(values: readonly number[], least: number): Independent | undefined {
  for (let batch = 1; ; batch *= 2) {
    const means = batchMeans(values, batch);
    if (means.length < least) return undefined;
    if (likeness(means) > chance / Math.sqrt(means.length)) continue;
    if (batch === 1) return { values: means, batch };
    // The likeness that is left is too small to be seen and large enough for false alarms: once more.
    const safe = batchMeans(values, 2 * batch);
    return safe.length < least ? undefined : { values: safe, batch: 2 * batch };
  }
}

/** One-sided, at 5%. */
const chance = 1.645;

export function batchMeans(values: readonly number[], batch: number): number[] {
  return Array.from({ length: Math.floor(values.length / batch) }, (_, index) => {
    const some = values.slice(index * batch, (index + 1) * batch);
    return some.reduce((sum, each) => sum + each, 0) / batch;
  });
}

/** The autocorrelation of neighbours, -1 to 1; of ranks, so that a single outlier does not hide it. */
function likeness(values: readonly number[]): number {
  const ranks = ranksOf(values);
  const mean = (values.length - 1) / 2;
  let [together, alone] = [0, 0];
  for (const [index, rank] of ranks.entries()) {
    alone += (rank - mean) ** 2;
    if (index > 0) together += (rank - mean) * ((ranks[index - 1] ?? 0) - mean);
  }
  return alone === 0 ? 0 : together / alone;
}

function ranksOf(values: readonly number[]): number[] {
  const order = values.map((value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && order[end]?.value === order[start]?.value) end += 1;
    for (const each of order.slice(start, end)) ranks[each.index] = (start + end - 1) / 2;
    start = end;
  }
  return ranks;
}
