import { normalQuantile, twoSided } from "../judge/normal.ts";

/** Of the logarithm of request times: the slowest of twenty takes 3.7 times as long as the median. */
const spread = 0.8;

/**
 * The share of the requests (0–1) that take longer than a limit, where times are log-normal.
 *
 * @param p95 milliseconds
 * @param limit milliseconds
 */
export function slowShare(p95: number, limit: number): number {
  const z = normalQuantile(0.95) + Math.log(limit / p95) / spread;
  return z >= 0 ? twoSided(z) / 2 : 1 - twoSided(z) / 2;
}
