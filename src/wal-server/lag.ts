import { type Lsn, parseLsn } from "../wal-archive/lsn.ts";
import { ofLsn, segmentName } from "../wal-archive/segment.ts";
import type { ArchivingServer } from "./server.ts";

/** What the server has written and an archive does not have. */
export interface ArchiveLag {
  readonly bytes: number;
  /** Finished segments of it. */
  readonly segments: number;
  /** The first of them; null: it lacks none that is finished. */
  readonly missing: string | null;
  /**
   * Milliseconds since the server finished that segment, or, where none is missing, for which it has been writing to the
   * open one. Null: not known; of a segment that is missing that means that the server has it no more.
   */
  readonly ms: number | null;
}

type Server = Pick<
  ArchivingServer,
  | "segmentBytes"
  | "timeline"
  | "position"
  | "receiver"
  | "archiveTimeoutMs"
  | "failing"
  | "waiting"
  | "lastArchivedMs"
  | "segmentAges"
>;

/**
 * Bytes. At rest a server writes a checkpoint and lists of running transactions, for which it ends no segment: so little
 * is no change of anybody's.
 */
const atRest = 512;

/**
 * What the server has switched away from and an archive does not have is behind, whatever archive_command has said of it.
 * Pure.
 *
 * @param until where the archive of the server's timeline ends
 */
export function archiveLag(server: Server, until: Lsn): ArchiveLag {
  const { segmentBytes, timeline, segmentAges, receiver } = server;
  const position = parseLsn(server.position);
  const bytes = Math.max(0, Number(position - until));
  const first = ofLsn(timeline, until, segmentBytes);
  const open = ofLsn(timeline, position, segmentBytes);
  if (first.number < open.number) {
    const missing = segmentName(first, segmentBytes);
    const segments = Number(open.number - first.number);
    return { bytes, segments, missing, ms: segmentAges[missing] ?? null };
  }
  const lag = { bytes, segments: 0, missing: null };
  if (bytes <= atRest) return { ...lag, ms: 0 };
  if (receiver?.active === true) return { ...lag, ms: receiver.lagMs };
  return { ...lag, ms: openFor(server, segmentName({ timeline, number: open.number - 1n }, segmentBytes)) };
}

/**
 * How long the oldest segment that the server keeps for its slot has been finished, in milliseconds; 0: it keeps none that
 * is, null: not known. Pure.
 */
export function keptFor({ segmentBytes, timeline, position, receiver, segmentAges }: Server): number | null {
  if (receiver === null || receiver.restart === null) return null;
  const kept = ofLsn(timeline, parseLsn(receiver.restart), segmentBytes);
  if (kept.number >= ofLsn(timeline, parseLsn(position), segmentBytes).number) return 0;
  return segmentAges[segmentName(kept, segmentBytes)] ?? null;
}

/** @param before the segment before the open one, which may have been removed: then its archiving tells */
function openFor(server: Server, before: string): number | null {
  const { archiveTimeoutMs, failing, waiting, lastArchivedMs, segmentAges } = server;
  const archived = waiting === 0 && failing === null ? lastArchivedMs : null;
  const since = segmentAges[before] ?? archived;
  if (archiveTimeoutMs === 0) return since;
  return Math.min(since ?? archiveTimeoutMs, archiveTimeoutMs);
}

/** For people: `WAL 00000001000000000000002A, which the server has no more`. */
export function shownMissing({ missing, segments, ms }: Omit<ArchiveLag, "bytes">): string | null {
  if (missing === null) return null;
  const more = segments === 1 ? "" : ` and ${segments - 1} behind it`;
  return `WAL ${missing}${more}${ms === null ? ", which the server has no more" : ""}`;
}
