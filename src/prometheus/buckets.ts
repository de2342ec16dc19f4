import { OpsError } from "../core/errors.ts";

/** Requests that one bucket of a histogram counts by itself. */
export interface Bucket {
  /** Milliseconds: longer than `from`, at most `to`, which is infinite in the last one. */
  readonly from: number;
  readonly to: number;
  readonly requests: number;
}

/** Times and how many requests took each. */
export type SpreadTimes = readonly { readonly time: number; readonly requests: number }[];

/**
 * The buckets of a histogram from the cumulative counts that Prometheus keeps, by their `le` label in seconds. A scrape that
 * fell between two series can leave a count below the one before it; it is raised to that.
 */
export function bucketsOf(cumulative: ReadonlyMap<string, number>): Bucket[] {
  const bounds = [...cumulative].map(([le, requests]) => ({ to: milliseconds(le), requests }));
  let [from, below] = [0, 0];
  return bounds
    .sort((a, b) => a.to - b.to)
    .map(({ to, requests }) => {
      const bucket = { from, to, requests: Math.max(0, requests - below) };
      [from, below] = [to, Math.max(below, requests)];
      return bucket;
    });
}

/** The largest bound that is a time, in milliseconds; nothing is known of requests beyond it. */
export function lastBound(buckets: readonly Bucket[]): number | undefined {
  return buckets.map(({ to }) => to).findLast((to) => Number.isFinite(to));
}

/** Within a bucket a time is told to this part of its width. */
const points = 100;

/**
 * Times as a histogram tells them: evenly spread within each bucket, which is the linear interpolation of Prometheus's
 * histogram_quantile. Requests beyond the last bound count as a millisecond longer than it.
 */
export function spreadTimes(buckets: readonly Bucket[]): SpreadTimes {
  return buckets.flatMap(({ from, to, requests }) => {
    if (requests === 0) return [];
    if (!Number.isFinite(to)) return [{ time: from + 1, requests }];
    const parts = Math.min(requests, points);
    return Array.from({ length: parts }, (_, part) => ({
      time: from + ((to - from) * (part + 0.5)) / parts,
      requests: share(requests, part + 1, parts) - share(requests, part, parts),
    }));
  });
}

const share = (requests: number, part: number, parts: number) => Math.floor((requests * part) / parts);

function milliseconds(le: string): number {
  if (/^\+?Inf$/.test(le)) return Number.POSITIVE_INFINITY;
  const seconds = le.trim() === "" ? Number.NaN : Number(le);
  if (Number.isFinite(seconds)) return seconds * 1000;
  throw new OpsError("E_PROMETHEUS_QUERY", `"le" of a histogram's bucket is "${le}", which is no number`, {
    hint: "ask for the series whose name ends in _bucket, without taking their le label away",
    retryable: false,
  });
}
