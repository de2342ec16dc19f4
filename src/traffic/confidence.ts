/**
 * Lower end of the Wilson score interval for a rate of `hits` in `trials`: with z = 3 the true rate is above it in
 * 999 of 1000 cases. 0 without hits.
 */
export function wilsonLowerBound(hits: number, trials: number, z: number): number {
  if (hits === 0) return 0;
  const rate = hits / trials;
  const square = z * z;
  const spread = z * Math.sqrt((rate * (1 - rate)) / trials + square / (4 * trials * trials));
  return Math.max(0, (rate + square / (2 * trials) - spread) / (1 + square / trials));
}

/** Fewer requests than this say nothing about a split. */
export const smallestSample = 20;

export type ShareObservation =
  | { readonly verdict: "agrees" | "disagrees"; readonly requests: number; readonly share: number }
  | { readonly verdict: "unknown"; readonly requests: number };

/**
 * Whether `hits` of `requests` fit an intended share (0–1). Four standard deviations and half a point are allowed:
 * a split that is as intended is called wrong less than once in 10,000 times, also where the balancer draws lots.
 */
export function observeShare(hits: number, requests: number, intended: number): ShareObservation {
  if (requests < smallestSample) return { verdict: "unknown", requests };
  const share = hits / requests;
  const allowed = 4 * Math.sqrt((intended * (1 - intended)) / requests) + 1 / requests + 0.005;
  return { verdict: Math.abs(share - intended) <= allowed ? "agrees" : "disagrees", requests, share };
}
