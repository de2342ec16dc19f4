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

/** The names of the segments from `startLsn` up to, not including, `stopLsn`, in their order. */
export function neededSegments({ timeline, startLsn, stopLsn, segmentBytes }: LogRange): string[] {
  const names: string[] = [];
  const stop = parseLsn(stopLsn);
  let segment = ofLsn(timeline, parseLsn(startLsn), segmentBytes);
  for (; segment.number * BigInt(segmentBytes) < stop; segment = next(segment)) {
    names.push(segmentName(segment, segmentBytes));
  }
  return names;
}

/** Those of them that the archive does not have. */
export async function missingSegments(
  store: ObjectStore,
  database: string,
  range: LogRange,
): Promise<string[]> {
  const needed = neededSegments(range);
  // An archive of a year is not listed for a few minutes of it.
  const prefix = `${timelinePrefix(database, range.timeline)}${commonPrefix(needed)}`;
  // Whole segments only: the names of a `.backup` and a `.partial` begin with that of a segment.
  const present = new Set<string>();
  for await (const { name } of store.list(prefix)) {
    present.add(archivedName(database, name)?.file ?? "");
  }
  return needed.filter((each) => !present.has(each));
}

/** Of names in their order: what the first and the last share, all between them do. */
function commonPrefix(names: readonly string[]): string {
  const [first = "", last = ""] = [names[0], names.at(-1)];
  const different = [...first].findIndex((letter, index) => letter !== last[index]);
  return different === -1 ? first : first.slice(0, different);
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
