import { OpsError, UsageError } from "../core/errors.ts";
import type { CanaryLimits } from "../rollout/limits.ts";
import type { CountedRoute } from "./route.ts";

/**
 * Whether what counts a route can tell what a canary's limits are about, before anything is changed. Throws what is wrong with its
 * configuration; figures that are only missing now may come later.
 */
export async function requireFigures(
  { target, requests }: CountedRoute,
  { p95, "mean-response": mean }: CanaryLimits,
  signal: AbortSignal,
): Promise<void> {
  if (mean !== undefined && requests.mean === undefined) {
    throw new UsageError("E_REQUEST_TIMES", `Nothing tells the mean response time of route ${target.name}`, {
      hint: "limit p95 instead of mean-response, with a source that knows request times (docs/metrics.md)",
    });
  }
  try {
    if (p95 !== undefined) await requests.requireTimes(p95.value, signal);
    if (requests.apart !== undefined) await requests.read(signal);
  } catch (error) {
    if (!(error instanceof OpsError && error.retryable && requests.apart !== undefined)) throw error;
  }
}
