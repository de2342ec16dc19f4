import { randomInt } from "node:crypto";
import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { connect, databaseError } from "../postgres/connection.ts";
import { migrationLock, opsLockSpace } from "../postgres/ops-schema.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { pause } from "../run/pause.ts";

/** Between two tries. Short, because the holder is usually done in less than a second. */
const shortestPause = 50;
const longestPause = 500;

/** How long a proof that the lock is ours is good for, in milliseconds. */
const proofAge = 1000;

/** Advisory locks (`fenceSpace`, random number) are held by the lock's own connection, one for each runner. */
const fenceSpace = 0x6f7074;

/** Advisory lock (`opsLockSpace`, 3) is shared by who commits. */
const committing = 3;

/** A setting that nobody makes: reading it is an error, which tells that the fence has held a transaction back. */
const lockLost = "ops.migration_lock_lost";

/** The right to run migrations in a database, as long as its connection lives. */
export interface RunnerLock {
  /** Throws `E_MIGRATION_LOCK_LOST` where the lock's connection is gone. To be called before each migration. */
  confirm(): Promise<void>;
  /**
   * SQL to stand right before every COMMIT: the transaction fails where this lock's connection is gone. A killed
   * runner's last transaction goes on in the server for a moment, and must not commit beside the next runner.
   */
  readonly fence: string;
  release(): Promise<void>;
}

/**
 * Waits until this process alone may run migrations in a database. The lock is a transaction's, on a connection of its
 * own that does nothing else: behind PgBouncer in transaction mode a session has no server of its own, a transaction
 * has. It ends with the connection, so a killed runner leaves none behind. The transaction keeps no snapshot, so that
 * neither VACUUM nor CREATE INDEX CONCURRENTLY waits for it; for the same reason the lock is asked for again and again
 * instead of waited for in the server. Throws `E_MIGRATION_LOCK` (exit code 6), naming the holder.
 */
export async function lockRunner(
  context: OperationContext,
  target: DatabaseTarget,
  applicationName: string,
  wait: number,
  report: Report,
): Promise<RunnerLock> {
  const client = await connect(target, { signal: context.signal, applicationName });
  const key = randomInt(2 ** 31 - 1);
  try {
    await waitForTurn(context, client, target.name, wait, report);
    await client.query(`SELECT pg_advisory_xact_lock(${fenceSpace}, ${key})`);
  } catch (error) {
    await client.end();
    context.signal.throwIfAborted();
    throw databaseError(target, error);
  }
  return new HeldLock(context, client, target.name, key);
}

class HeldLock implements RunnerLock {
  readonly #context: OperationContext;
  readonly #client: pg.Client;
  readonly #database: string;
  readonly fence: string;
  #proved: number;
  #lost = false;

  constructor(context: OperationContext, client: pg.Client, database: string, key: number) {
    this.#context = context;
    this.#client = client;
    this.#database = database;
    this.fence = `SELECT pg_advisory_xact_lock_shared(${opsLockSpace}, ${committing}),
  CASE WHEN pg_try_advisory_xact_lock_shared(${fenceSpace}, ${key}) THEN current_setting('${lockLost}') END;`;
    this.#proved = context.clock.elapsed();
    client.once("end", () => {
      this.#lost = true;
    });
  }

  async confirm(): Promise<void> {
    const now = this.#context.clock.elapsed();
    if (!this.#lost && now - this.#proved < proofAge) return;
    let cause: unknown;
    if (!this.#lost) {
      try {
        await this.#client.query("SELECT 1");
        this.#proved = now;
        return;
      } catch (error) {
        cause = error;
      }
    }
    this.#context.signal.throwIfAborted();
    throw lockLostError(this.#database, cause);
  }

  async release(): Promise<void> {
    // Through a pooler the server outlives the connection; the end of the transaction lets go either way.
    if (!this.#lost) await this.#client.query("ROLLBACK").catch(() => undefined);
    await this.#client.end();
  }
}

export function lockLostError(database: string, cause: unknown): OpsError {
  return new OpsError(
    "E_MIGRATION_LOCK_LOST",
    `The connection that holds the lock on the migrations of database ${database} is gone, so another run may have begun`,
    { cause, hint: "run it again: it waits for its turn and finishes the rest" },
  );
}

/** Whether an error is that of the fence. */
export function isLockLost(error: unknown): error is Error {
  return error instanceof Error && error.message.includes(lockLost);
}

/** Waits until the runner before has ended the commit it may have been killed in; a later one does not pass its fence. */
export async function awaitLastCommit(client: pg.ClientBase): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(${opsLockSpace}, ${committing})`);
}

async function waitForTurn(
  context: OperationContext,
  client: pg.Client,
  database: string,
  wait: number,
  report: Report,
): Promise<void> {
  const began = context.clock.elapsed();
  let told = "";
  for (let ms = shortestPause; ; ms = Math.min(ms * 2, longestPause)) {
    if (await tryLock(client)) return;
    const holder = await describeHolder(client);
    if (holder !== undefined && holder !== told) {
      told = holder;
      report.log(`waiting for another run of migrations on database ${database}: ${holder}`);
    }
    const waited = context.clock.elapsed() - began;
    if (waited >= wait) {
      throw new OpsError(
        "E_MIGRATION_LOCK",
        `Another run of migrations holds database ${database}${told === "" ? "" : ` (${told})`}; waited ${formatDuration(wait)}`,
        {
          exitCode: ExitCode.lockHeld,
          hint: "run it again when the other one is done, or set --lock-wait longer",
        },
      );
    }
    report.progress({ message: `waiting for another run of migrations${told === "" ? "" : `: ${told}`}` });
    await pause(context, Math.min(ms * (0.5 + Math.random()), wait - waited));
  }
}

/**
 * True leaves the transaction open that holds the lock; false leaves none. Without parameters, because the portal of a
 * query with parameters stays open in a transaction, and with it a snapshot.
 */
async function tryLock(client: pg.Client): Promise<boolean> {
  // A server before PostgreSQL 17 has no transaction_timeout.
  await client.query(
    `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
      WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`,
  );
  const { rows } = await client.query(
    `SELECT pg_try_advisory_xact_lock(${opsLockSpace}, ${migrationLock}) AS locked`,
  );
  if (rows[0]?.locked === true) return true;
  await client.query("ROLLBACK");
  return false;
}

/** `pid 4711, "ops migrate 20260101-…", since 2026-01-01T12:00:00Z`; undefined where it is just gone. */
async function describeHolder(client: pg.ClientBase): Promise<string | undefined> {
  const { rows } = await client.query<{ pid: number; application: string; since: string | null }>(
    `SELECT activity.pid, activity.application_name AS application,
            to_char(coalesce(activity.xact_start, activity.backend_start) AT TIME ZONE 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
       FROM pg_locks AS lock
       JOIN pg_stat_activity AS activity USING (pid)
      WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2
        AND lock.classid = $1 AND lock.objid = $2
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [opsLockSpace, migrationLock],
  );
  const [holder] = rows;
  if (holder === undefined) return undefined;
  // The start of another user's session is hidden from us without the role pg_monitor.
  const since = holder.since === null ? "" : `, since ${holder.since}`;
  return `pid ${holder.pid}, "${holder.application}"${since}`;
}
