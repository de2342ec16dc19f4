import { type Lsn, lsn } from "./lsn.ts";
import { endOf, ofLsn, type Segment, segmentName, startOf } from "./segment.ts";
import type { Ancestor, TimelineHistory } from "./timeline-history.ts";

/** What a base backup needs and offers. */
export interface WindowBase {
  readonly id: string;
  readonly timeline: number;
  /** Where replay begins. */
  readonly start: Lsn;
  /** The first position that it can be restored to. */
  readonly stop: Lsn;
}

export interface ArchiveContents {
  /** wal_segment_size. */
  readonly segmentBytes: number;
  /** The numbers of the archived segments, by timeline. */
  readonly segments: ReadonlyMap<number, ReadonlySet<bigint>>;
  /** Of each timeline but the first. One that is missing leaves its timeline without ancestors. */
  readonly histories: ReadonlyMap<number, TimelineHistory>;
  readonly bases: readonly WindowBase[];
}

/** Every position from `from` to `until` can be restored on this timeline. */
export interface RestorableWindow {
  readonly timeline: number;
  readonly from: Lsn;
  readonly until: Lsn;
  /** The base backups that it can be restored from, oldest first. */
  readonly bases: readonly string[];
}

/** Segments that are missing one after another, by the names that the archive would have them under. */
export interface WalGap {
  readonly timeline: number;
  readonly first: string;
  readonly last: string;
  readonly count: number;
}

export interface TimelineReport {
  readonly timeline: number;
  readonly windows: readonly RestorableWindow[];
  /** Between the first and the last archived segment of the timeline itself. */
  readonly gaps: readonly WalGap[];
  /** The position behind its last archived segment; undefined where it has none. */
  readonly archivedUntil: Lsn | undefined;
}

/** What can be restored on each timeline that has segments, a history or a base backup; in their order. Pure. */
export function restorableWindows(contents: ArchiveContents): TimelineReport[] {
  const timelines = new Set([
    ...contents.segments.keys(),
    ...contents.histories.keys(),
    ...contents.bases.map((each) => each.timeline),
  ]);
  return [...timelines]
    .sort((one, other) => one - other)
    .map((timeline) => ({
      timeline,
      windows: windowsOf(timeline, contents),
      gaps: gapsOf(timeline, contents),
      archivedUntil: archivedUntil(timeline, contents),
    }));
}

/** How far each base backup reaches; those that reach each other are one window. */
function windowsOf(timeline: number, contents: ArchiveContents): RestorableWindow[] {
  const path = pathTo(timeline, contents.histories);
  const reached = contents.bases
    .filter((base) => isOn(base, path))
    .sort((one, other) => (one.start < other.start ? -1 : one.start > other.start ? 1 : 0))
    .flatMap((base) => {
      const until = replayedUntil(base.start, path, contents);
      return until < base.stop ? [] : [{ base, until }];
    });
  const windows: RestorableWindow[] = [];
  for (const { base, until } of reached) {
    const last = windows.at(-1);
    if (last !== undefined && last.until === until) {
      const from = base.stop < last.from ? base.stop : last.from;
      windows[windows.length - 1] = { ...last, from, bases: [...last.bases, base.id] };
    } else windows.push({ timeline, from: base.stop, until, bases: [base.id] });
  }
  return windows;
}

/** The timelines that lead to this one, and where each begins and ends; oldest first. */
interface Stretch {
  readonly timeline: number;
  readonly from: Lsn;
  /** Undefined: it was not left. */
  readonly until: Lsn | undefined;
}

function pathTo(timeline: number, histories: ArchiveContents["histories"]): Stretch[] {
  const ancestors: TimelineHistory = histories.get(timeline) ?? [];
  const begin = (index: number) => ancestors[index - 1]?.until ?? lsn(0n);
  const stretch = (each: Ancestor, index: number) => ({ ...each, from: begin(index) });
  return [...ancestors.map(stretch), { timeline, from: begin(ancestors.length), until: undefined }];
}

function isOn(base: WindowBase, path: readonly Stretch[]): boolean {
  const stretch = path.find((each) => each.timeline === base.timeline);
  return stretch !== undefined && (stretch.until === undefined || base.stop <= stretch.until);
}

/** As the server replays: each segment by the newest timeline of the path that has begun in it, or before. */
function replayedUntil(start: Lsn, path: readonly Stretch[], contents: ArchiveContents): Lsn {
  const { segmentBytes, segments } = contents;
  const has = (each: Segment) => segments.get(each.timeline)?.has(each.number) === true;
  let position = start;
  for (;;) {
    const begun = path.filter(
      (each) => ofLsn(each.timeline, each.from, segmentBytes).number <= position / BigInt(segmentBytes),
    );
    const owner = begun.at(-1);
    if (owner === undefined) return position;
    const segment = ofLsn(owner.timeline, position, segmentBytes);
    if (has(segment)) {
      position = endOf(segment, segmentBytes);
      continue;
    }
    // The segment in which the timeline was left can be read up to there under the name of the one before.
    const before = begun.slice(0, -1).findLast((each) => has({ ...segment, timeline: each.timeline }));
    const left = before?.until;
    return left !== undefined && left > position ? left : position;
  }
}

function gapsOf(timeline: number, { segments, segmentBytes }: ArchiveContents): WalGap[] {
  const numbers = sorted(segments.get(timeline));
  return numbers.flatMap((number, index) => {
    const before = numbers[index - 1];
    if (before === undefined || number === before + 1n) return [];
    const name = (each: bigint) => segmentName({ timeline, number: each }, segmentBytes);
    const count = Number(number - before) - 1;
    return [{ timeline, first: name(before + 1n), last: name(number - 1n), count }];
  });
}

function archivedUntil(timeline: number, { segments, segmentBytes }: ArchiveContents): Lsn | undefined {
  const last = sorted(segments.get(timeline)).at(-1);
  return last === undefined ? undefined : startOf({ timeline, number: last + 1n }, segmentBytes);
}

function sorted(numbers: ReadonlySet<bigint> | undefined): bigint[] {
  return [...(numbers ?? [])].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0));
}
