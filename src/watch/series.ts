import { z } from "zod";

/** Values that are kept of one check, at most. */
const most = 120;

/**
 * A bounded memory of any number of values: evenly spaced ones. When it is full every second one goes, and from then on
 * only every second new one comes in.
 */
export const series = z.object({
  /** One of so many values is kept. */
  stride: z.int().min(1),
  /** Values since the newest kept one. */
  skipped: z.int().min(0),
  values: z.array(z.number()),
});
export type Series = z.output<typeof series>;

export const noSeries: Series = { stride: 1, skipped: 0, values: [] };

export function withValue({ stride, skipped, values }: Series, value: number): Series {
  if (values.length > 0 && skipped + 1 < stride) return { stride, skipped: skipped + 1, values };
  const all = [...values, value];
  if (all.length <= most) return { stride, skipped: 0, values: all };
  // The oldest is kept, and so is the newest: their number is odd.
  return { stride: stride * 2, skipped: 0, values: all.filter((_, index) => index % 2 === 0) };
}

/** Of the values that are kept; null where there are none. */
export function medianOf({ values }: Series): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
