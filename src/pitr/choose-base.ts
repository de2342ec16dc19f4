import { type Json, UsageError } from "../core/errors.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import { formatLsn, parseLsn } from "../wal-archive/lsn.ts";
import type { ArchivedBase, ArchiveState } from "./archive-state.ts";
import { isOn, type Line, leadsTo, lineOf, newestTimeline, type Reach, reachOf } from "./line.ts";
import { type RestoreTarget, shownTarget } from "./restore-target.ts";

export interface Chosen {
  readonly base: ArchivedBase;
  /** What it is based on, the full one first, and itself. */
  readonly chain: readonly ArchivedBase[];
  readonly line: Line;
  readonly reach: Reach;
}

export interface Wish {
  readonly target: RestoreTarget;
  /** Undefined: the newest. */
  readonly timeline: number | undefined;
  /** An id; undefined: the newest that the target allows. */
  readonly base: string | undefined;
  readonly now: Date;
}

/** The base backup to restore and the way to the target. Throws `E_RESTORE_TARGET`, `E_BACKUP_MISSING`. */
export function chooseBase(database: string, archive: ArchiveState, wish: Wish): Chosen {
  const { target } = wish;
  if (wish.base !== undefined && archive.broken.includes(wish.base)) throw broken(database, wish.base);
  const line = wantedLine(archive, wish);
  const candidates = archive.bases.filter((each) => leadsTo(each, line));
  const usable = candidates
    .flatMap((base) => {
      const chain = chainOf(archive.bases, base.id);
      return chain === undefined ? [] : [{ base, chain, line, reach: reachOf(base, line, archive) }];
    })
    .filter(({ base, reach }) => reach.until >= parseLsn(base.stopLsn));
  const oldest = usable.at(-1);
  if (oldest === undefined) throw noBase(database, archive, line, wish);
  if (target.kind === "time" && Date.parse(target.time) > wish.now.getTime()) {
    throw outside(target, `it is in the future (now: ${wish.now.toISOString()})`, usable);
  }
  const early = usable.filter(({ base }) => isBehind(base, target));
  if (early.length === 0) throw outside(target, "it is before the oldest base backup", usable);
  const chosen =
    wish.base === undefined
      ? (early.find((each) => reaches(each, target)) ?? early[0])
      : early.find((each) => each.base.id === wish.base);
  if (chosen === undefined) {
    throw new UsageError(
      "E_RESTORE_TARGET",
      `Base backup ${wish.base} does not lead to ${shownTarget(target)}`,
      {
        hint: `leave out --base, or take one of: ${early.map(({ base }) => base.id).join(", ")}`,
      },
    );
  }
  if (!reaches(chosen, target)) {
    const { until, missing } = chosen.reach;
    throw outside(target, `the archive ends at ${formatLsn(until)}: ${missing} is not in it`, usable);
  }
  return chosen;
}

/** Whether the base backup is of before the target. A name's position is not known, so any might be. */
function isBehind(base: ArchivedBase, target: RestoreTarget): boolean {
  switch (target.kind) {
    case "latest":
    case "name":
      return true;
    case "time":
      return Date.parse(target.time) >= Date.parse(base.stoppedAt);
    case "lsn":
      return parseLsn(target.lsn) >= parseLsn(base.stopLsn);
    case "transaction":
      return base.nextTransaction !== null && BigInt(target.transaction) >= BigInt(base.nextTransaction);
  }
}

/**
 * As far as positions tell; that a time or a transaction is in the WAL shows when it is replayed. The server stops at the
 * first record at the position or behind it: at the very end there is none.
 */
function reaches({ reach }: Chosen, target: RestoreTarget): boolean {
  return target.kind !== "lsn" || parseLsn(target.lsn) < reach.until;
}

function wantedLine(archive: ArchiveState, { target, timeline }: Wish): Line {
  const newest = newestTimeline(archive);
  if (timeline !== undefined && timeline > newest) {
    throw new UsageError("E_RESTORE_TARGET", `The archive has no timeline ${timeline}`, {
      hint: `the newest is ${newest}`,
    });
  }
  const line = lineOf(timeline ?? newest, archive.histories.get(timeline ?? newest) ?? []);
  if (target.kind !== "lsn" || target.timeline === undefined) return line;
  if (isOn(line, target.timeline, parseLsn(target.lsn))) return line;
  if (timeline !== undefined) {
    throw new UsageError(
      "E_RESTORE_TARGET",
      `Cannot restore to ${shownTarget(target)}: it is on timeline ${target.timeline}, which does not lead to timeline ${timeline} there`,
      { hint: "leave out --timeline" },
    );
  }
  // A restore point that the newest timeline has left behind is on its own one.
  return lineOf(target.timeline, archive.histories.get(target.timeline) ?? []);
}

function broken(database: string, id: string): UsageError {
  return new UsageError("E_BACKUP_CORRUPT", `Base backup ${id} is damaged, or one that it is based on`, {
    hint: `leave out --base to take another one; see: ops pitr base list --database ${database}`,
  });
}

function outside(target: RestoreTarget, why: string, usable: readonly Chosen[]): UsageError {
  const oldest = usable.at(-1);
  const newest = usable[0];
  const nearest: Json = {
    from: oldest?.base.stoppedAt,
    fromLsn: oldest?.base.stopLsn,
    untilLsn: newest && formatLsn(newest.reach.until),
  };
  return new UsageError("E_RESTORE_TARGET", `Cannot restore to ${shownTarget(target)}: ${why}`, {
    hint:
      `the earliest moment is ${oldest?.base.stoppedAt} (position ${oldest?.base.stopLsn}), ` +
      `the latest the end of the archive (${newest && formatLsn(newest.reach.until)}): --latest`,
    details: nearest,
  });
}

function noBase(database: string, archive: ArchiveState, line: Line, { target }: Wish): UsageError {
  const [newest] = archive.bases;
  if (newest === undefined) {
    const broken = archive.broken.length === 0 ? "" : ` that is whole (${archive.broken.length} broken)`;
    return new UsageError("E_BACKUP_MISSING", `There is no base backup of ${database}${broken}`, {
      hint: `make one with: ops pitr base create --database ${database}`,
    });
  }
  const { missing } = reachOf(newest, line, archive);
  return new UsageError(
    "E_RESTORE_TARGET",
    `Cannot restore to ${shownTarget(target)}: no base backup leads to timeline ${line.timeline} without a gap in the WAL`,
    { hint: `WAL ${missing} is not in the archive; look at it with: ops wal status` },
  );
}
