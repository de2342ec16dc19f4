import type { MetricsTarget } from "../config/metrics-target.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import type { RequestSource } from "./request-source.ts";

const unknown = (counted: string) => `The requests of ${counted} are not known: `;

/** Figures that are not there now and may be there later. They are never taken for zeros. */
export function missing(
  code: `E_METRICS_${string}`,
  counted: string,
  why: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): OpsError {
  return new OpsError(code, `${unknown(counted)}${why}`, options);
}

/** For a p95 limit over figures that are nothing but counts. */
export function onlyCounts(counted: string): UsageError {
  return new UsageError("E_REQUEST_TIMES", `The metrics of ${counted} are counts, which tell no p95`, {
    hint: "take them from Prometheus or from a log (docs/metrics.md), or set no p95 limit",
  });
}

/** A source whose errors say what they are in the way of. Mistakes of the configuration name it by themselves. */
export function named(
  source: RequestSource,
  { counted, setting }: Pick<MetricsTarget, "counted" | "setting">,
): RequestSource {
  return {
    ...source,
    async read(signal) {
      try {
        return await source.read(signal);
      } catch (error) {
        if (!(error instanceof OpsError) || error instanceof UsageError) throw error;
        const { code, message, cause, hint, details, retryable } = error;
        if (message.startsWith(unknown(counted))) throw error;
        throw new OpsError(code as `E_${string}`, `${unknown(counted)}${message}`, {
          cause,
          hint: hint ?? `see that it answers, or correct "metrics:" of "${setting}" in .opsrc`,
          ...(details === undefined ? {} : { details }),
          retryable,
        });
      }
    },
  };
}
