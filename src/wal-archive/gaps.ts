import type { Lsn } from "./lsn.ts";
import { segmentName, startOf } from "./segment.ts";

/** Segments that are missing one after another, by the names that the archive would have them under. */
export interface WalGap {
  readonly first: string;
  readonly last: string;
  readonly count: number;
}

export interface TimelineReport {
  readonly timeline: number;
  readonly segments: number;
  /** Between the first and the last archived segment of the timeline. */
  readonly gaps: readonly WalGap[];
  /** The position behind its last archived segment. */
  readonly archivedUntil: Lsn;
}

/**
 * What is archived of each timeline that has a segment, in their order. Pure.
 *
 * @param segments their numbers, by timeline
 * @param segmentBytes wal_segment_size
 */
export function reportTimelines(
  segments: ReadonlyMap<number, ReadonlySet<bigint>>,
  segmentBytes: number,
): TimelineReport[] {
  return [...segments]
    .sort(([one], [other]) => one - other)
    .flatMap(([timeline, found]) => {
      const numbers = [...found].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0));
      const last = numbers.at(-1);
      if (last === undefined) return [];
      const name = (number: bigint) => segmentName({ timeline, number }, segmentBytes);
      const gaps = numbers.flatMap((number, index) => {
        const before = numbers[index - 1];
        if (before === undefined || number === before + 1n) return [];
        return [{ first: name(before + 1n), last: name(number - 1n), count: Number(number - before) - 1 }];
      });
      const archivedUntil = startOf({ timeline, number: last + 1n }, segmentBytes);
      return [{ timeline, segments: numbers.length, gaps, archivedUntil }];
    });
}
