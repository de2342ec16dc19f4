import { OpsError, UsageError } from "../core/errors.ts";
import { formatLsn } from "../wal-archive/lsn.ts";
import { parseSegment } from "../wal-archive/segment.ts";
import type { Archive } from "./archive.ts";
import type { ArchiveState } from "./archive-state.ts";
import type { Chosen } from "./choose-base.ts";
import { endings, newestCommit } from "./newest-commit.ts";
import { type RestoreTarget, shownTarget } from "./restore-target.ts";

/** Segments that are archived side by side at most: one that so many are behind of is not on its way any more. */
const atOnce = 64n;

/**
 * A replay stops at the first transaction that ended behind the time. Before a gap nothing more will be archived: where
 * the last one there is of before the time, the replay would run into the gap. Throws `E_RESTORE_TARGET`.
 *
 * @param segments names of those that the archive has
 * @param scratch a folder for the segments that are looked into
 */
export async function requireBeforeGap(
  archive: Pick<Archive, "segment">,
  chosen: Chosen,
  target: RestoreTarget,
  segments: ArchiveState["segments"],
  scratch: string,
  signal: AbortSignal,
): Promise<void> {
  const { reach } = chosen;
  if (target.kind !== "time" || !reach.isGap || !isSettled(chosen, segments)) return;
  const newest = await newestCommit(archive, chosen, scratch, signal, endings).catch((error: unknown) => {
    if (signal.aborted || !(error instanceof OpsError)) throw error;
    // What cannot be read now, the replay tells of.
    return undefined;
  });
  if (newest === undefined || Date.parse(target.time) <= newest.getTime()) return;
  const last = newest.toISOString();
  throw new UsageError(
    "E_RESTORE_TARGET",
    `Cannot restore to ${shownTarget(target)}: ${reach.missing} is not in the archive, and the last transaction before it ended at ${last}`,
    {
      hint: `restore to that moment (--to-time ${last}), or to the first one behind the gap: ops pitr window`,
      details: { until: last, untilLsn: formatLsn(reach.until) },
    },
  );
}

/** Whether what is missing does not come any more: its timeline was left, or many segments behind it are there. */
function isSettled({ base, line, reach }: Chosen, segments: ArchiveState["segments"]): boolean {
  const missing = parseSegment(reach.missing, base.segmentBytes);
  if (missing === undefined || missing.timeline !== line.timeline) return true;
  return [...segments].some((each) => {
    const segment = parseSegment(each, base.segmentBytes);
    return segment?.timeline === missing.timeline && segment.number > missing.number + atOnce;
  });
}
