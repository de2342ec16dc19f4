/** A number from 0 (included) to 1 (not included). */
export type Random = () => number;

/** The same numbers for the same seed (sfc32 of PractRand: 128 bits of state, passes its tests). */
export function seededRandom(seed: number): Random {
  let [a, b, c, counter] = [seed | 0, Math.floor(seed / 2 ** 32) | 0, 0x9e3779b9, 1];
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let index = 0; index < 16; index += 1) next();
  return next;
}

/** How many tries until a first success of probability `chance`, that one included: 1, 2, …; Infinity for chance 0. */
export function triesUntil(random: Random, chance: number): number {
  if (chance >= 1) return 1;
  if (chance <= 0) return Number.POSITIVE_INFINITY;
  return 1 + Math.floor(Math.log(1 - random()) / Math.log1p(-chance));
}
