import { OpsError, UsageError } from "../core/errors.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import type { CanaryLimits } from "./limits.ts";

/**
 * Whether what counts requests can tell what the limits are about, before anything is changed. Throws what is wrong with its
 * configuration; figures that are only missing now may come later.
 *
 * @param what is counted: `route web`
 */
export async function requireFigures(
  what: string,
  requests: RequestSource,
  { p95, "mean-response": mean }: CanaryLimits,
  signal: AbortSignal,
): Promise<void> {
  if (mean !== undefined && requests.mean === undefined) {
    throw new UsageError("E_REQUEST_TIMES", `Nothing tells the mean response time of ${what}`, {
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
