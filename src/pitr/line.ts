import { type Lsn, lsn, parseLsn } from "../wal-archive/lsn.ts";
import { endOf, ofLsn, segmentName, startOf, timelineName } from "../wal-archive/segment.ts";
import type { TimelineHistory } from "../wal-archive/timeline-history.ts";
import type { ArchivedBase, ArchiveState } from "./archive-state.ts";

/** The timelines that lead to one, oldest first: each counts from where the one before it was left. */
export interface Line {
  readonly timeline: number;
  readonly parts: readonly {
    readonly timeline: number;
    readonly from: Lsn;
    readonly until: Lsn | undefined;
  }[];
}

export function lineOf(timeline: number, history: TimelineHistory): Line {
  const starts = [lsn(0n), ...history.map((each) => each.until)];
  return {
    timeline,
    parts: [...history, { timeline, until: undefined }].map((each, index) => ({
      ...each,
      from: starts[index] ?? lsn(0n),
    })),
  };
}

/** The newest timeline that the archive knows of. */
export function newestTimeline({ bases, segments, histories }: ArchiveState): number {
  const known = [...histories.keys(), ...bases.map((each) => each.timeline)];
  for (const name of segments) known.push(Number.parseInt(name.slice(0, 8), 16));
  return Math.max(1, ...known);
}

/** Whether what a base backup begins with is on the way to the line's timeline. */
export function leadsTo(base: ArchivedBase, line: Line): boolean {
  return isOn(line, base.timeline, parseLsn(base.stopLsn));
}

/** Whether the position of that timeline is on the line. */
export function isOn(line: Line, timeline: number, position: Lsn): boolean {
  return line.parts.some(
    (each) => each.timeline === timeline && (each.until === undefined || position <= each.until),
  );
}

export interface Reach {
  /** Without a gap, WAL is there from the base backup's beginning up to here. */
  readonly until: Lsn;
  /** The first segment that is missing: behind it there may be more. */
  readonly missing: string;
  /** Whether the end lies in that segment, in what is there of it while it is being written. */
  readonly isLive: boolean;
  /** Whether the line goes on behind it: then it is not the end of the archive. */
  readonly isGap: boolean;
}

/** How far the archive leads from a base backup along the line. */
export function reachOf(
  base: ArchivedBase,
  line: Line,
  { segments, live }: Pick<ArchiveState, "segments" | "live">,
): Reach {
  const size = base.segmentBytes;
  let { number } = ofLsn(base.timeline, parseLsn(base.startLsn), size);
  for (;;) {
    const here = { timeline: base.timeline, number };
    const name = segmentOn(line, number, size);
    if (!segments.has(name)) {
      // As `wal fetch` gives it: live parts are the end of the log, or nothing.
      const isGap = goesOnBehind(line, name, { segments, live });
      const bytes = isGap ? 0 : (live.get(name) ?? 0);
      return { until: lsn(startOf(here, size) + BigInt(bytes)), missing: name, isLive: bytes > 0, isGap };
    }
    number += 1n;
  }
}

/** Whether more is archived behind a segment that is missing, or a later timeline of the line came from behind it. */
function goesOnBehind(
  line: Line,
  missing: string,
  { segments, live }: Pick<ArchiveState, "segments" | "live">,
): boolean {
  const timeline = missing.slice(0, 8);
  if (timeline !== timelineName(line.timeline)) return true;
  return [...segments, ...live.keys()].some((each) => each.slice(0, 8) === timeline && each > missing);
}

/** Name of the segment of this number. Where a timeline was left in the middle of one, the next one's has the whole. */
export function segmentOn(line: Line, number: bigint, size: number): string {
  const here = { timeline: line.timeline, number };
  const owners = line.parts.filter(
    (each) => each.from < endOf(here, size) && (each.until === undefined || each.until > startOf(here, size)),
  );
  return segmentName({ timeline: owners.at(-1)?.timeline ?? line.timeline, number }, size);
}
