import type pg from "pg";
import { digest } from "../../core/digest.ts";
import { type Duration, formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { pause } from "../../run/pause.ts";
import type { BatchSettings } from "../header.ts";
import { withoutLineEnds } from "../line-ends.ts";
import { type LockLimits, retryOnLocks } from "../lock-retries.ts";
import { title } from "../migration-file.ts";
import { refuseProblems } from "../problem.ts";
import type { MigrationSession } from "../session.ts";
import type { SqlFile } from "../sql-file.ts";
import { nextSize, smallestSize } from "./batch-size.ts";
import { findKeyColumn, isProblem, type KeyColumn } from "./key-column.ts";
import { type Backfill, paused, type RanBatch, runBatch } from "./one-batch.ts";
import { type BackfillPlace, beginPlace } from "./place-table.ts";
import { ReplicationLag } from "./replication-lag.ts";
import { batchStatement } from "./statement.ts";

/** A file that runs in batches. */
export interface BatchUnit {
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  readonly file: SqlFile;
  readonly settings: BatchSettings;
  /** Proves it, once no rows are left; throws where it is not as it should be. */
  readonly verify: (() => Promise<void>) | undefined;
  /** SQL that records the whole file, in the transaction of the last batch. */
  readonly record: (durationMs: number) => string;
}

/** Between two looks at standbys that are behind, in milliseconds. */
const lagInterval = 250;

/**
 * Runs a file batch by batch in the order of its key, from where an earlier run left off. A batch, its place and at the
 * end the record of the file are one transaction, so every row whose key stays is gone through exactly once, whatever
 * kills this process; rows that come with higher keys meanwhile are gone through too. Between two batches is a safe
 * point. Throws `E_INTERRUPTED` where it is paused, `E_LOCK_TIMEOUT`, `E_MIGRATION_FAILED`, `E_BACKFILL_CHANGED`.
 */
export async function runBatches(
  session: MigrationSession,
  unit: BatchUnit,
  limits: LockLimits,
): Promise<void> {
  const { client, context, report, target } = session;
  const { settings, file } = unit;
  const statement = await batchStatement(file, settings);
  const key = await findKeyColumn(client, statement);
  if (isProblem(key)) return refuseProblems(target.name, [key]);
  let place = await beginBackfill(client, unit, key, context.runId ?? null);
  if (place.state === "paused") throw paused(session, place);
  if (place.batches > 0) report.log(`${file.name}: goes on after ${place.rowsDone} rows`);

  const lockTimeout = file.settings.lockTimeout ?? limits.lockTimeout;
  const backfill = (ending: Backfill["ending"]): Backfill => ({
    ...unit,
    statement,
    key,
    lockTimeout,
    ending,
  });
  let { verify } = unit;
  const { maxLag } = settings;
  const lag = new ReplicationLag(client, context.clock);
  const speed = new Speed(place, context.clock.elapsed());
  for (;;) {
    context.safePoint();
    await session.lock.confirm();
    if (maxLag !== undefined) await waitForStandbys(session, maxLag, lag, file);
    const before = place;
    const ending = verify === undefined ? "may-end" : "stays-open";
    const ran = await nextBatch(session, backfill(ending), before, { ...limits, lockTimeout });
    place = ran.place;
    report.progress(speed.progress(place, context.clock.elapsed()));
    if (place.state === "done") break;
    if (!ran.more) {
      await verify?.();
      verify = undefined;
      continue;
    }
    if (place.rowsDone - before.rowsDone >= place.size) {
      place = { ...place, size: nextSize(place.size, place.workMs - before.workMs, settings.target) };
    }
    await pause(context, settings.pause);
  }
  report.log(
    `${file.name}: ${place.rowsDone} rows gone through, ${place.rowsChanged} changed, in ${place.batches} batches, ${formatDuration(place.workMs)} of work`,
  );
}

async function beginBackfill(
  client: pg.ClientBase,
  { version, name, direction, file, settings }: BatchUnit,
  key: KeyColumn,
  runId: string | null,
): Promise<BackfillPlace> {
  // Pace and size may change in the middle; what is done to which row may not.
  const text = withoutLineEnds(file.sql)
    .replaceAll(/^[ \t]*--.*$/gm, "")
    .trim();
  const checksum = digest([key.table, key.column, text].join("\n"));
  const rowsExpected = await estimateRows(client, key);
  const { size } = settings;
  const place = await beginPlace(client, { version, name, direction, checksum, size, rowsExpected, runId });
  if (place.checksum === checksum) return place;
  throw new OpsError(
    "E_BACKFILL_CHANGED",
    `${file.name} does something else than when its backfill began, and ${place.rowsDone} rows are done already`,
    {
      hint: `restore the statement, the table and the key in ${file.name}; to begin from the first row: DELETE FROM ops.migration_batch WHERE version = '${version}'`,
      retryable: false,
    },
  );
}

/** The planner's estimate: it knows partitions, and tables that were never analyzed. */
async function estimateRows(client: pg.ClientBase, { table, column }: KeyColumn): Promise<number> {
  const { rows } = await client.query(`EXPLAIN (FORMAT JSON) SELECT ${column} FROM ${table}`);
  return Number(rows[0]?.["QUERY PLAN"]?.[0]?.Plan?.["Plan Rows"] ?? 0);
}

/** Smaller with each try: who is in the way of fewer rows is in the way less often, and for less time. */
async function nextBatch(
  session: MigrationSession,
  backfill: Backfill,
  before: BackfillPlace,
  limits: LockLimits,
): Promise<RanBatch> {
  const { file } = backfill.statement;
  let size = before.size;
  for (;;) {
    let ran: RanBatch = { place: before, more: true };
    try {
      await retryOnLocks(session, file.name, limits, async (token) => {
        const tried = size;
        size = smaller(size);
        ran = await runBatch(session, backfill, tried, token);
      });
      return ran;
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "E_BATCH_TIMEOUT" || size <= smallestSize)
        throw error;
      session.report.log(`${file.name}: a batch ran into its statement_timeout; again with ${size} rows`);
    }
  }
}

function smaller(size: number): number {
  return Math.max(Math.min(smallestSize, size), Math.round(size / 2));
}

async function waitForStandbys(
  session: MigrationSession,
  maxLag: Duration,
  lag: ReplicationLag,
  file: SqlFile,
): Promise<void> {
  let told = false;
  for (;;) {
    const standby = await lag.furthest();
    if (standby === undefined || standby.lagMs <= maxLag) return;
    const message = `${file.name}: waits for standby ${standby.name}, which is ${formatDuration(standby.lagMs)} behind (max-lag ${formatDuration(maxLag)})`;
    if (!told) session.report.log(message);
    told = true;
    session.report.progress({ message });
    await pause(session.context, lagInterval);
  }
}

/** Rows per second and time to go, from what this attempt has done; an earlier one may have run on another day. */
class Speed {
  readonly #start: BackfillPlace;
  readonly #begun: number;

  constructor(start: BackfillPlace, begun: number) {
    this.#start = start;
    this.#begun = begun;
  }

  progress(place: BackfillPlace, now: number) {
    const perMs = (place.rowsDone - this.#start.rowsDone) / Math.max(1, now - this.#begun);
    const total = place.state === "done" ? place.rowsDone : Math.max(place.rowsExpected, place.rowsDone);
    const speed = perMs > 0 ? `, ${Math.round(perMs * 1000)} rows/s` : "";
    return {
      message: `backfill ${title(place)}${speed}`,
      done: place.rowsDone,
      total,
      unit: "rows",
      ...(perMs > 0 ? { leftMs: (total - place.rowsDone) / perMs } : {}),
    } as const;
  }
}
