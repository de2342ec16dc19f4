import { OpsError } from "../../core/errors.ts";

/** Figures that are not there now and may be there later. They are never taken for zeros. */
export function missing(
  code: `E_METRICS_${string}`,
  route: string,
  why: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): OpsError {
  return new OpsError(code, `The requests of route ${route} are not known: ${why}`, options);
}
