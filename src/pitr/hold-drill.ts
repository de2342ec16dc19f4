import { join } from "node:path";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError, UsageError } from "../core/errors.ts";
import { connectionEnvironment } from "../postgres/connection.ts";
import { shortened } from "../postgres/sql-checks.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { type ArchiveDrill, writeArchiveDrill } from "../wal-archive/drill-record.ts";
import { chooseBase } from "./choose-base.ts";
import { examineCluster } from "./drill-checks.ts";
import { randomMoment, wayToTheEnd } from "./drill-moment.ts";
import { drillStore } from "./drill-store.ts";
import { newestCommit } from "./newest-commit.ts";
import { openArchive } from "./open-archive.ts";
import { serverTime } from "./replay-end.ts";
import { type RestoreTarget, shownTarget } from "./restore-target.ts";
import { type ScratchOptions, withScratchCluster } from "./scratch-cluster.ts";

export interface DrillWork {
  readonly database: DatabaseTarget;
  /** Default: the first one of the archive. */
  readonly store: string | undefined;
  /** Undefined: any moment. */
  readonly moment: RestoreTarget | undefined;
  /** Milliseconds that a recovery may take, and that the newest commit in the archive may be old. */
  readonly rto: number | undefined;
  readonly rpo: number | undefined;
  readonly checks: readonly string[];
  readonly amcheck: boolean;
  readonly jobs: number;
  readonly scratch: Pick<ScratchOptions, "scratch-dir" | "restore-command">;
}

/** What is known of a drill, more with each step. */
type Findings = {
  -readonly [K in
    | "base"
    | "timeline"
    | "target"
    | "recoveryTimeMs"
    | "newestCommit"
    | "recoveryPointMs"
    | "lastTransaction"
    | "serverVersion"
    | "clusterBytes"
    | "databases"
    | "amcheck"
    | "checks"]: ArchiveDrill[K];
};

/** Other moments that are tried where the base backup of one has expired meanwhile. */
const mostAttempts = 3;

/**
 * A real restore of the archive into a cluster of our own that is thrown away. What was found out is recorded in the
 * store, also where it is bad news. Throws only where the drill could not be held at all: then nothing is recorded.
 */
export async function holdArchiveDrill(
  context: OperationContext,
  work: DrillWork,
  report: Report,
  signal: AbortSignal,
): Promise<ArchiveDrill> {
  for (let attempt = 1; ; attempt += 1) {
    const startedAt = context.clock.now();
    const begin = context.clock.elapsed();
    const found = nothingFound(work);
    const reason = await drilled(context, work, found, startedAt, report, signal).catch((error: unknown) =>
      verdictOf(error, work, found, signal),
    );
    if (reason !== undefined) {
      const record: ArchiveDrill = {
        format: "ops-pitr-drill",
        version: 1,
        environment: context.environment.name,
        database: work.database.name,
        verdict: reason === null ? "pass" : "fail",
        reason,
        startedAt: startedAt.toISOString(),
        durationMs: Math.round(context.clock.elapsed() - begin),
        run: context.runId ?? null,
        actor: context.actor,
        ...found,
      };
      await writeArchiveDrill(drillStore(context, work.database, work.store).store, record);
      return record;
    }
    if (attempt === mostAttempts || work.moment !== undefined) throw expired(found.base);
    report.log(`base backup ${found.base} has expired meanwhile; another moment is taken`);
  }
}

function nothingFound({ moment }: DrillWork): Findings {
  return {
    base: null,
    timeline: null,
    target: moment === undefined ? "a random moment" : shownTarget(moment),
    recoveryTimeMs: null,
    newestCommit: null,
    recoveryPointMs: null,
    lastTransaction: null,
    serverVersion: null,
    clusterBytes: null,
    databases: [],
    amcheck: false,
    checks: [],
  };
}

/** What is not as it should be; null where all is. Fills in what it finds on the way. */
async function drilled(
  context: OperationContext,
  work: DrillWork,
  found: Findings,
  now: Date,
  report: Report,
  signal: AbortSignal,
): Promise<string | null> {
  const { database, amcheck } = work;
  const parent = work.scratch["scratch-dir"] ?? join(context.stateDirectory, "scratch");
  report.progress({ message: `reading the archive of ${database.name}` });
  const archive = await openArchive(database, work.store, signal);
  const state = await archive.state();
  const latest = wayToTheEnd(database.name, state, now);
  found.base = latest.base.id;
  notePoint(found, await newestCommit(archive, latest, parent, signal), now);
  const moment = work.moment ?? randomMoment(state, latest, found.newestCommit);
  found.target = shownTarget(moment);
  const wish = { target: moment, timeline: undefined, base: undefined, now };
  const { base } = chooseBase(database.name, state, wish);
  found.base = base.id;
  report.log(`restoring ${database.name} to ${found.target}`);
  const options = {
    ...work.scratch,
    database: database.name,
    // That of the record alone, whatever others may have.
    store: archive.store,
    base: base.id,
    jobs: work.jobs,
    ...(moment.kind === "time" ? { "to-time": moment.time } : { latest: true }),
  };
  return withScratchCluster(context, options, report, signal, async (scratch) => {
    found.timeline = scratch.timeline;
    found.recoveryTimeMs = scratch.durationMs;
    found.lastTransaction = scratch.lastTransaction;
    if (moment.kind === "latest" && found.newestCommit === null) {
      notePoint(found, serverTime(scratch.lastTransaction), now);
    }
    report.progress({ message: "examining the restored cluster" });
    const asked = await connectionEnvironment(database);
    const { reasons, ...seen } = await examineCluster(
      scratch,
      { database: asked.PGDATABASE ?? "postgres", checks: work.checks, amcheck, jobs: work.jobs },
      signal,
    );
    Object.assign(found, seen, { amcheck });
    const all = [...reasons, ...missedGoals(work, found)];
    return all.length === 0 ? null : shortened(all);
  });
}

function notePoint(found: Findings, newest: Date | undefined, now: Date): void {
  if (newest === undefined) return;
  found.newestCommit = newest.toISOString();
  found.recoveryPointMs = Math.max(0, now.getTime() - newest.getTime());
}

function missedGoals({ rto, rpo }: DrillWork, { recoveryTimeMs, recoveryPointMs }: Findings): string[] {
  const missed = (what: string, value: number | null, goal: number | undefined): string[] => {
    if (goal === undefined || (value !== null && value <= goal)) return [];
    const shown =
      value === null ? "not known: no commit is near the end of the archive" : formatDuration(value);
    return [`${what} is ${shown}, asked for is ${formatDuration(goal)}`];
  };
  return [
    ...missed("the recovery time", recoveryTimeMs, rto),
    ...missed("the age of the newest commit in the archive", recoveryPointMs, rpo),
  ];
}

const verdictCodes = [
  "E_BACKUP_CORRUPT",
  "E_BACKUP_MISSING",
  "E_CLUSTER_START",
  "E_DATABASE_UNREACHABLE",
  "E_DECOMPRESS",
  "E_DECRYPT",
  "E_OBJECT_MISSING",
  "E_PROGRAM_FAILED",
  "E_REPLAY",
  "E_RESTORE_TARGET",
  "E_SQL",
  "E_WAL_ARCHIVE",
  "E_WAL_CORRUPT",
  "E_WAL_GAP",
  "E_WAL_MISSING",
];

/**
 * What an error says of the archive. Throws it where it says nothing: an interruption, a full disk, a store that does not
 * answer, a moment outside of the window. Undefined where the base backup has expired under it.
 */
async function verdictOf(
  error: unknown,
  work: DrillWork,
  { base }: Findings,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (signal.aborted || !(error instanceof OpsError) || !verdictCodes.includes(error.code)) throw error;
  const reason = [error.message, causeText(error.cause)].filter(Boolean).join(": ");
  if (/no space left on device|disk quota exceeded|ENOSPC/i.test(reason)) {
    throw new OpsError(
      "E_DISK_SPACE",
      "The disk became full during the drill, which says nothing of the archive",
      {
        cause: error,
        hint: "name a folder on a larger disk: --scratch-dir",
        retryable: false,
      },
    );
  }
  if (base !== null && (await isGone(work, base, signal))) return undefined;
  if (work.moment !== undefined && error instanceof UsageError) throw error;
  return reason;
}

async function isGone({ database, store }: DrillWork, base: string, signal: AbortSignal): Promise<boolean> {
  try {
    await (await openArchive(database, store, signal)).base(base);
    return false;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return error.code === "E_BACKUP_MISSING";
  }
}

function expired(base: string | null): OpsError {
  return new OpsError("E_BACKUP_MISSING", `Base backup ${base} has expired during the drill`, {
    hint: "hold it again, not while ops pitr prune runs",
  });
}
