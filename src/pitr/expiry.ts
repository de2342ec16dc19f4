import { OpsError } from "../core/errors.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import { type Lsn, parseLsn } from "../wal-archive/lsn.ts";
import { endOf, parseSegment } from "../wal-archive/segment.ts";
import { type ArchivedBase, type ArchiveState, newestFirst } from "./archive-state.ts";
import { isOn, type Line, leadsTo, lineOf, newestTimeline, reachOf } from "./line.ts";

export interface ExpiryPolicy {
  readonly now: Date;
  /** Milliseconds that one must be able to go back; undefined: for ever. */
  readonly window: number | undefined;
  /** By the ids of base backups: why nothing may remove them, whatever the window. */
  readonly neededBy: ReadonlyMap<string, string>;
}

export interface BaseDecision {
  readonly id: string;
  readonly action: "keep" | "remove";
  readonly reason: string;
}

export interface Expiry {
  /** Of the whole ones, newest first. */
  readonly bases: readonly BaseDecision[];
  /** Whether a base backup that stays can use a file of the log, by the name that PostgreSQL gives it. */
  keepsFile(file: string): boolean;
  /** Whether a base backup that stays leads to this position. */
  keepsPosition(timeline: number, position: Lsn): boolean;
}

/** Clocks of two machines may differ a little. */
const clockTolerance = 5 * 60_000;

/**
 * What of an archive a window still needs. Pure. Guarantees: from every moment of the window that could be restored it
 * still can be, on every timeline that is alive in it; no base backup stays without the log that it needs, and no log
 * that no base backup can use; never the newest base backup goes, nor the newest that can be restored, nor one that
 * another one is based on. Without a window, or where nothing usable is older, nothing goes. Throws `E_CLOCK` where a base backup is from the future.
 */
export function decideExpiry(archive: ArchiveState, policy: ExpiryPolicy): Expiry {
  const { bases } = archive;
  refuseFuture(bases, policy.now);
  const reasons = new Map<string, string>();
  const keep = (id: string, reason: string) => {
    if (!reasons.has(id)) reasons.set(id, reason);
  };
  const horizon =
    policy.window === undefined ? Number.NEGATIVE_INFINITY : policy.now.getTime() - policy.window;
  for (const [id, reason] of policy.neededBy) keep(id, reason);
  for (const each of bases) {
    if (Date.parse(each.stoppedAt) > horizon)
      keep(each.id, policy.window === undefined ? "no window is configured" : "in the window");
  }
  for (const line of livingLines(archive, horizon)) {
    const onLine = bases.filter((each) => leadsTo(each, line)).sort(newestFirst);
    const anchor = onLine.find(
      (each) => Date.parse(each.stoppedAt) <= horizon && isUsable(each, line, archive),
    );
    if (anchor !== undefined) keep(anchor.id, "the window begins with it");
    // Nothing usable is old enough: what there is must do.
    else for (const each of onLine) keep(each.id, "no older one can be restored");
  }
  const [newest] = [...bases].sort(newestFirst);
  if (newest !== undefined) keep(newest.id, "the newest one");
  const usable = [...bases]
    .sort(newestFirst)
    .find((each) => isUsable(each, lineTo(each.timeline, archive), archive));
  if (usable !== undefined) keep(usable.id, "the newest one that can be restored");
  for (const id of [...reasons.keys()]) {
    for (const each of chainOf(bases, id)?.slice(0, -1) ?? []) keep(each.id, `${id} is based on it`);
  }
  const stays = bases.filter((each) => reasons.has(each.id));
  return {
    bases: [...bases].sort(newestFirst).map(({ id }) => {
      const reason = reasons.get(id);
      return reason === undefined
        ? { id, action: "remove", reason: "older than the window" }
        : { id, action: "keep", reason };
    }),
    keepsFile: (file) => isUsedBy(file, stays, archive),
    keepsPosition: (timeline, position) => {
      const line = lineTo(timeline, archive);
      return stays.some((each) => leadsTo(each, line) && parseLsn(each.stopLsn) <= position);
    },
  };
}

/**
 * The newest timeline, and every other one that may have moments in the window: it is over where a base backup of a later
 * timeline that came from it is older than the window, and none of its own is younger.
 */
function livingLines(archive: ArchiveState, horizon: number): Line[] {
  const { bases, histories } = archive;
  const newest = newestTimeline(archive);
  const timelines = new Set([newest, ...histories.keys(), ...bases.map((each) => each.timeline)]);
  const isOld = (each: ArchivedBase) => Date.parse(each.stoppedAt) <= horizon;
  return [...timelines]
    .filter((timeline) => {
      const left = bases.some(
        (each) =>
          isOld(each) &&
          (histories.get(each.timeline) ?? []).some((ancestor) => ancestor.timeline === timeline),
      );
      return timeline === newest || !left || bases.some((each) => each.timeline === timeline && !isOld(each));
    })
    .map((timeline) => lineTo(timeline, archive));
}

function lineTo(timeline: number, { histories }: ArchiveState): Line {
  return lineOf(timeline, histories.get(timeline) ?? []);
}

function isUsable(base: ArchivedBase, line: Line, archive: ArchiveState): boolean {
  return (
    chainOf(archive.bases, base.id) !== undefined &&
    reachOf(base, line, archive).until >= parseLsn(base.stopLsn)
  );
}

/** Where it cannot be told, the file stays: another segment size, a name that is none, a timeline without its history. */
function isUsedBy(file: string, stays: readonly ArchivedBase[], archive: ArchiveState): boolean {
  const [base] = archive.bases;
  const segment = base === undefined ? undefined : parseSegment(file, base.segmentBytes);
  if (base === undefined || segment === undefined) return true;
  const { timeline } = segment;
  const isKnown = timeline === 1 || archive.histories.has(timeline);
  const line = lineTo(timeline, archive);
  const leads = (each: ArchivedBase) => isOn(line, each.timeline, parseLsn(each.stopLsn));
  // The first base backup of the newest timeline may be under way.
  if (isKnown && timeline === newestTimeline(archive) && !stays.some(leads)) return true;
  return stays.some((each) => {
    if (endOf(segment, each.segmentBytes) <= parseLsn(each.startLsn)) return false;
    return isKnown ? leads(each) : each.timeline <= timeline;
  });
}

function refuseFuture(bases: readonly ArchivedBase[], now: Date): void {
  const ahead = bases.find((each) => Date.parse(each.stoppedAt) > now.getTime() + clockTolerance);
  if (ahead === undefined) return;
  throw new OpsError(
    "E_CLOCK",
    `Base backup ${ahead.id} ended at ${ahead.stoppedAt}, and here it is ${now.toISOString()}`,
    {
      hint: "mend the clock that is wrong, this machine's or the server's: what is older than the window cannot be told",
      details: { id: ahead.id },
      retryable: false,
    },
  );
}
