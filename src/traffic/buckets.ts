import { createHash } from "node:crypto";
import type { Weights } from "../rollout/shares.ts";

/** Bucket → version. */
export type Buckets = ReadonlyMap<string, string>;

/** The names of so many buckets: what `mod(count)` gives. */
export const bucketNames = (count: number) => Array.from({ length: count }, (_, index) => String(index));

/** How many buckets each version has. */
export function bucketWeights(buckets: Buckets, versions: readonly string[]): Weights {
  const weights: Weights = Object.fromEntries(versions.map((version) => [version, 0]));
  for (const version of buckets.values()) weights[version] = (weights[version] ?? 0) + 1;
  return weights;
}

/**
 * Buckets with these weights, of which as few as possible change hands: whoever has the version that gets more keeps
 * it. Which buckets move is drawn by the version's name, so that it is not always the same users who are the first.
 */
export function dealt(present: Buckets, wanted: Weights): Buckets {
  const weights = bucketWeights(present, Object.keys(wanted));
  const surplus = new Map(
    Object.entries(weights).map(([version, has]) => [version, has - (wanted[version] ?? 0)]),
  );
  const dealtBuckets = new Map(present);
  for (const [version, owed] of [...surplus].filter(([, over]) => over < 0)) {
    let missing = -owed;
    const given = [...present].filter(([, owner]) => owner !== version).map(([bucket]) => bucket);
    for (const bucket of inDrawnOrder(given, version)) {
      if (missing === 0) break;
      const owner = dealtBuckets.get(bucket) ?? "";
      const over = surplus.get(owner) ?? 0;
      if (over <= 0) continue;
      dealtBuckets.set(bucket, version);
      surplus.set(owner, over - 1);
      missing -= 1;
    }
  }
  return dealtBuckets;
}

function inDrawnOrder(buckets: readonly string[], version: string): string[] {
  const drawn = new Map(
    buckets.map((bucket) => [bucket, createHash("sha256").update(`${version} ${bucket}`).digest("hex")]),
  );
  return [...buckets].sort((a, b) => ((drawn.get(a) ?? "") < (drawn.get(b) ?? "") ? -1 : 1));
}
