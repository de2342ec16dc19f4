import type { LogStream } from "../postgres/log-stream.ts";
import type { ArchiveStore } from "../wal-archive/archive-file.ts";
import { listWal } from "../wal-archive/contents.ts";
import { hasSegment, listLive } from "../wal-archive/live-part.ts";
import { type Lsn, parseLsn } from "../wal-archive/lsn.ts";
import { endOf, ofLsn, parseSegment, type Segment, segmentName, startOf } from "../wal-archive/segment.ts";
import { parseHistory, type TimelineHistory } from "../wal-archive/timeline-history.ts";
import type { SlotState } from "./slot.ts";

/** Where to begin to receive: at the beginning of a segment. */
export interface StartPosition {
  readonly timeline: number;
  readonly start: Lsn;
}

/** The server's timelines, the newest last. */
export interface ServerLine {
  readonly timeline: number;
  readonly ancestors: TimelineHistory;
  /** The `.history` file of the newest one; undefined for the first, which has none. */
  readonly history: Buffer | undefined;
}

export async function readLine(stream: LogStream): Promise<ServerLine> {
  const timeline = await stream.timeline();
  const history = timeline === 1 ? undefined : await stream.history(timeline);
  return { timeline, history, ancestors: parseHistory(history?.toString() ?? "") ?? [] };
}

/** The beginning of the segment that holds the position, on the timeline that the server has it under. Pure. */
export function startAt({ timeline, ancestors }: ServerLine, position: Lsn, size: number): StartPosition {
  const start = startOf(ofLsn(timeline, position, size), size);
  const end = endOf(ofLsn(timeline, position, size), size);
  // The segment in which a timeline was left is the next one's, which begins with a copy of it.
  const owner = ancestors.find((each) => each.until >= end)?.timeline ?? timeline;
  return { timeline: owner, start };
}

/**
 * Where the archive ends, if that is before what the slot keeps: a new slot, after a server was lost or a slot was
 * dropped. The server may still have what lies between.
 */
export async function archiveEnd(
  stores: readonly ArchiveStore[],
  database: string,
  line: ServerLine,
  { restart, segmentBytes: size }: SlotState,
): Promise<StartPosition | undefined> {
  const first = ofLsn(line.timeline, restart, size).number;
  const ownerOf = (number: bigint) => startAt(line, startOf({ timeline: 0, number }, size), size).timeline;
  const nameOf = (number: bigint) => segmentName({ timeline: ownerOf(number), number }, size);
  let oldest = first;
  for (const { store } of stores) {
    if (first === 0n || (await hasSegment(store, database, nameOf(first - 1n)))) continue;
    const { segments } = await listWal(store, database, size);
    const whole = [...segments].flatMap(([timeline, numbers]) =>
      [...numbers].filter((each) => ownerOf(each) === timeline).map((each) => each + 1n),
    );
    const open = [...(await listLive(store, database)).keys()].flatMap((each) => {
      const segment = parseSegment(each, size);
      return segment !== undefined && isOn(line, segment, size) ? [segment.number] : [];
    });
    const end = [...whole, ...open].filter((each) => each <= first).reduce((a, b) => (a > b ? a : b), 0n);
    if (end > 0n && end < oldest) oldest = end;
  }
  return oldest === first ? undefined : startAt(line, startOf({ timeline: 0, number: oldest }, size), size);
}

/** Whether the server's own log went through the segment. */
function isOn({ timeline, ancestors }: ServerLine, segment: Segment, size: number): boolean {
  const left = ancestors.find((each) => each.timeline === segment.timeline)?.until;
  return segment.timeline === timeline || (left !== undefined && startOf(segment, size) < left);
}

/** Where the next timeline is received from. */
export function startOfNext(next: { timeline: number; lsn: string }, size: number): StartPosition {
  const { timeline } = next;
  return { timeline, start: startOf(ofLsn(timeline, parseLsn(next.lsn), size), size) };
}
