import type { Outcomes } from "../judge/e-process.ts";
import { doubts, isAboveBeyondDoubt } from "./confidence.ts";

/**
 * Where the rate of bad requests is over `limit` (0–1) beyond doubt: in the whole step, in its newest part (so that a late
 * fault is not diluted by a long good time), or not at all. A step with fewer requests than `minRequests` is taken as if
 * those that are missing were good: only what they could not mend counts.
 *
 * @param dispersion of the bad requests, from 1
 */
export function provenExcess(
  step: Outcomes,
  recent: Outcomes,
  limit: number,
  minRequests: number,
  dispersion: number,
): "step" | "recent" | undefined {
  const requests = Math.max(step.requests, minRequests);
  if (isAboveBeyondDoubt(step.bad, requests, limit, doubts.whole, dispersion)) return "step";
  if (step.requests < minRequests) return undefined;
  if (isAboveBeyondDoubt(recent.bad, recent.requests, limit, doubts.recent, dispersion)) return "recent";
  return undefined;
}
