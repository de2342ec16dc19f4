import { OpsError } from "../core/errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { archivedName, timelinePrefix } from "../wal-archive/layout.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { next, ofLsn, segmentName } from "../wal-archive/segment.ts";

export interface LogRange {
  readonly timeline: number;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly segmentBytes: number;
}

/** The segments that the archive does not have of those from `startLsn` up to, not including, `stopLsn`. */
export async function missingSegments(
  store: ObjectStore,
  database: string,
  { timeline, startLsn, stopLsn, segmentBytes }: LogRange,
): Promise<string[]> {
  // Whole segments only: the names of a `.backup` and a `.partial` begin with that of a segment.
  const present = new Set<string>();
  for await (const { name } of store.list(timelinePrefix(database, timeline))) {
    present.add(archivedName(database, name)?.file ?? "");
  }
  const missing: string[] = [];
  const stop = parseLsn(stopLsn);
  let segment = ofLsn(timeline, parseLsn(startLsn), segmentBytes);
  for (; segment.number * BigInt(segmentBytes) < stop; segment = next(segment)) {
    const name = segmentName(segment, segmentBytes);
    if (!present.has(name)) missing.push(name);
  }
  return missing;
}

export function walMissing(id: string, store: string, segments: readonly string[], why: string): OpsError {
  const [first, last] = [segments[0], segments.at(-1)];
  const named = first === last ? first : `${first} to ${last} (${segments.length} segments)`;
  return new OpsError(
    "E_WAL_MISSING",
    `Base backup ${id} cannot be restored from store ${store} yet: WAL ${named} is not archived there${why}`,
    { hint: "look at the archiver: ops wal status; the server's settings: ops pitr setup" },
  );
}

/** @param archive whose: `repo1 of pgBackRest` */
export function walGap(archive: string, missing: string): OpsError {
  return new OpsError("E_WAL_GAP", `${archive} has no ${missing}, but the log goes on behind it`, {
    hint: "restore to a moment before it (--to-time, --to-lsn), and make a new base backup",
    details: { file: missing },
    retryable: false,
  });
}
