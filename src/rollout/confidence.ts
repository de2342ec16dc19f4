/** In how many of that many tests a rate that is at its limit may be called over it, 0–1. */
export const doubts = {
  /** Of all that was counted in a step: 4 of 20 are over 5% (p = 0.016), 3 of 20 are not (0.075). */
  whole: 0.02,
  /** Of the newest part of it, which is another one at every look. */
  recent: 0.00135,
} as const;

/**
 * Whether the true rate is above `rate` (0–1) beyond doubt where `hits` of `trials` were seen: the exact binomial test.
 * An interval for large samples will not do: for it, one bad request of one would be proof enough.
 *
 * @param dispersion variance over mean of the hits, from 1; hits that come in bursts count as fewer, in whole numbers
 */
export function isAboveBeyondDoubt(
  hits: number,
  trials: number,
  rate: number,
  doubt: number = doubts.recent,
  dispersion = 1,
): boolean {
  if (rate === 0) return hits > 0;
  const [events, chances] = [Math.floor(hits / dispersion), Math.ceil(trials / dispersion)];
  return events > rate * chances && atLeast(events, chances, rate) < doubt;
}

/** The probability of `hits` or more of `trials`; for more hits than are expected. */
function atLeast(hits: number, trials: number, rate: number): number {
  let logarithm = hits * Math.log(rate) + (trials - hits) * Math.log1p(-rate);
  for (let each = 1; each <= hits; each += 1) logarithm += Math.log((trials - hits + each) / each);
  let term = Math.exp(logarithm);
  let sum = 0;
  for (let each = hits; each <= trials && term > sum * Number.EPSILON; each += 1) {
    sum += term;
    term *= ((trials - each) / (each + 1)) * (rate / (1 - rate));
  }
  return sum;
}

/** Fewer requests than this say nothing about a split. */
export const smallestSample = 20;

export type ShareObservation =
  | { readonly verdict: "agrees" | "disagrees"; readonly requests: number; readonly share: number }
  /** Share: what was seen of too few requests, none of them the version's, say; undefined: nothing was. */
  | { readonly verdict: "unknown"; readonly requests: number; readonly share?: number };

/** A chance that is none. */
const absurd = 1e-4;

/** Some users do far more than others: the odds of a version may be so many times off. */
const unevenUsers = 5;
/** Fewer requests than this can come from a handful of users. */
const manyUsers = 500;

/**
 * Whether `hits` of `requests` fit an intended share (0–1). Four standard deviations and half a point (of a small share: half
 * of it) are allowed: a split that is as intended is called wrong less than once in 10,000 times, also where the balancer draws
 * lots. Where it is users who are split, only what cannot be their doing is wrong. A share of which nothing was seen never agrees.
 * @param unequal by which part the versions may have been watched for different times (scraped at different moments), 0–1
 */
export function observeShare(
  hits: number,
  requests: number,
  intended: number,
  unequal = 0,
  splits: "requests" | "users" = "requests",
): ShareObservation {
  if (requests === 0) return { verdict: "unknown", requests };
  const share = hits / requests;
  if (requests < smallestSample) return { verdict: "unknown", requests, share };
  const spread = intended * (1 - intended);
  const slack = intended === 0 ? 0.005 : Math.min(0.005, intended / 2);
  const allowed = 4 * Math.sqrt(spread / requests) + 1 / requests + slack + spread * unequal;
  // With few requests the bounds are wider than what is possible: none of 20 is no half.
  const isNone =
    (hits === 0 && (1 - intended) ** requests < absurd) ||
    (hits === requests && intended ** requests < absurd);
  if (Math.abs(share - intended) <= allowed && !(isNone && unequal === 0)) {
    return { verdict: hits === 0 && intended > 0 ? "unknown" : "agrees", requests, share };
  }
  if (splits === "requests" || intended <= 0 || intended >= 1)
    return { verdict: "disagrees", requests, share };
  const odds = (rate: number) => rate / (1 - rate);
  if (Math.abs(Math.log(odds(share) / odds(intended))) <= Math.log(unevenUsers)) {
    return { verdict: "agrees", requests, share };
  }
  return { verdict: requests < manyUsers ? "unknown" : "disagrees", requests, share };
}
