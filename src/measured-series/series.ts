import { z } from "zod";

/** What was measured again and again: the figures of a load, or of a place that tells numbers. */

export const unitSchema = z.enum(["ms", "bytes", "percent", "per-second", "number"]);
export type Unit = z.output<typeof unitSchema>;

export const measureSchema = z.discriminatedUnion("kind", [
  /** One value for each interval or repetition, in their order. */
  z.object({ kind: z.literal("samples"), unit: unitSchema, values: z.array(z.number()) }),
  /** Requests and bad ones of each interval. */
  z.object({
    kind: z.literal("counts"),
    intervals: z.array(
      z.object({ requests: z.number().int().nonnegative(), bad: z.number().int().nonnegative() }),
    ),
  }),
]);
export type Measure = z.output<typeof measureSchema>;

/** Measure by its name: `p95`, `memory`. */
export const seriesSchema = z.record(z.string(), measureSchema);
export type Series = z.output<typeof seriesSchema>;

/** How many intervals or repetitions it has. */
export function samplesOf(measure: Measure): number {
  return measure.kind === "samples" ? measure.values.length : measure.intervals.length;
}

/** The name that is meant: `latency` is short for `p95`. Undefined where the series has none such. */
export function measureName(series: Series, name: string): string | undefined {
  if (Object.hasOwn(series, name)) return name;
  return name === "latency" && Object.hasOwn(series, "p95") ? "p95" : undefined;
}
