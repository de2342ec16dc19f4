import { once } from "node:events";
import pg from "pg";
import type { Duration } from "../core/duration.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { databaseError } from "../postgres/connection.ts";
import { type Blocker, describeBlocker, watchBlockers } from "./blockers.ts";
import type { SqlFile } from "./migration-file.ts";
import { pause } from "./pause.ts";
import type { MigrationSession } from "./session.ts";
import { isConnectionLoss, isLockConflict, sqlFailure } from "./sql-failure.ts";

export interface LockLimits {
  /** How long one statement may wait for a lock, with everybody else queueing behind it. */
  readonly lockTimeout: Duration;
  /** How often the file is tried when it does not get its locks. */
  readonly attempts: number;
}

const firstBackoff = 250;
const longestBackoff = 10_000;

/**
 * Runs a file and `record` in one transaction: both are kept or neither. Where a lock is not granted in time, the
 * transaction is rolled back, so that nobody queues behind it any longer, and tried again after a growing, random
 * pause. Throws `E_LOCK_TIMEOUT` with the blockers, `E_MIGRATION_FAILED`, `E_MIGRATION_TRANSACTION`.
 *
 * @param record gets how long the file took, in milliseconds
 */
export async function runFile(
  session: MigrationSession,
  file: SqlFile,
  limits: LockLimits,
  record: (durationMs: number) => Promise<void>,
): Promise<void> {
  const { context, report, target } = session;
  for (let attempt = 1; ; attempt += 1) {
    const conflict = await attemptFile(session, file, limits, record);
    if (conflict === undefined) return;
    const blockers = conflict.blockers.map(describeBlocker).join("; ") || "a session that is gone already";
    if (attempt >= limits.attempts) {
      const tries = attempt === 1 ? "once" : `${attempt} times`;
      throw new OpsError(
        "E_LOCK_TIMEOUT",
        `${file.name} did not get its locks in database ${target.name} within ${formatDuration(limits.lockTimeout)}, tried ${tries}; in the way: ${blockers}`,
        {
          cause: conflict.error,
          hint: "end that session (SELECT pg_terminate_backend(PID)) or run it again at a quieter time",
          details: { file: file.name, attempts: attempt, blockers: [...conflict.blockers] },
        },
      );
    }
    const ms = Math.min(firstBackoff * 2 ** (attempt - 1), longestBackoff) * (0.5 + Math.random());
    report.log(
      `${file.name}: ${conflict.error.message} (attempt ${attempt} of ${limits.attempts}); in the way: ${blockers}; again in ${formatDuration(ms)}`,
    );
    await pause(context, ms);
  }
}

interface LockConflict {
  readonly error: Error;
  readonly blockers: readonly Blocker[];
}

/** One try: undefined when it is committed. */
async function attemptFile(
  session: MigrationSession,
  file: SqlFile,
  limits: LockLimits,
  record: (durationMs: number) => Promise<void>,
): Promise<LockConflict | undefined> {
  const { client, context, report, target } = session;
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  const finished = new AbortController();
  const interval = Math.min(Math.max(limits.lockTimeout / 4, 25), 1000);
  const watch = watchBlockers(context, target, rows[0]?.pid ?? 0, interval, report, finished.signal);
  let failure: unknown;
  try {
    await transact(session, file, limits, record);
  } catch (error) {
    failure = error;
  }
  finished.abort();
  const blockers = await watch;
  if (failure === undefined) return undefined;
  // A second Ctrl-C cancels the statement on the server: that is not the file's fault either.
  context.signal.throwIfAborted();
  if (!(failure instanceof OpsError) && isConnectionLoss(failure)) throw databaseError(target, failure);
  // Only a warning where there is no transaction any more; where the file began another one, it ends that.
  await client.query("ROLLBACK");
  if (isLockConflict(failure) && failure instanceof Error) return { error: failure, blockers };
  throw failure instanceof pg.DatabaseError ? sqlFailure(file, failure) : failure;
}

async function transact(
  { client }: MigrationSession,
  file: SqlFile,
  limits: LockLimits,
  record: (durationMs: number) => Promise<void>,
): Promise<void> {
  await prepareSession(client);
  await client.query("BEGIN");
  await client.query("SELECT set_config('lock_timeout', $1, true)", [`${Math.ceil(limits.lockTimeout)}ms`]);
  const begun = await client.query("SELECT txid_current() AS id");
  const start = performance.now();
  // Without parameters this is one message of the simple query protocol: several statements, positions in the file.
  const query = new CountedQuery(file.sql);
  client.query(query);
  try {
    await once(query, "end");
  } catch (error) {
    if (isConnectionLoss(error) || isLockConflict(error) || !(error instanceof pg.DatabaseError)) throw error;
    throw sqlFailure(file, error, query.completed);
  }
  const durationMs = performance.now() - start;
  const ended = await client.query("SELECT txid_current_if_assigned() AS id");
  if (ended.rows[0]?.id !== begun.rows[0]?.id) {
    throw new OpsError(
      "E_MIGRATION_TRANSACTION",
      `${file.name} ended the transaction it was run in, so some of it may be kept without a record of it`,
      {
        hint: `remove every COMMIT and ROLLBACK from ${file.name} and look at what it has left in the database`,
        retryable: false,
      },
    );
  }
  // A file may SET ROLE; the record is ours to write.
  await client.query("RESET SESSION AUTHORIZATION");
  await client.query("RESET ROLE");
  await record(durationMs);
  await client.query("COMMIT");
}

/** Knows how many statements of its text went through, which places the errors that come without a position. */
class CountedQuery extends pg.Query {
  completed = 0;

  override submit = (connection: pg.Connection): void => {
    const count = () => {
      this.completed += 1;
    };
    connection.on("commandComplete", count);
    for (const ending of ["end", "error"]) this.once(ending, () => connection.off("commandComplete", count));
    pg.Query.prototype.submit.call(this, connection);
  };
}

/**
 * What an earlier file SET for its session must not change how the next one runs. And where this process is killed,
 * the server finds out within seconds (from PostgreSQL 14 on) and rolls back, instead of finishing the statement for
 * nobody with all its locks held.
 */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  await client.query("RESET ALL");
  try {
    await client.query(
      `SELECT set_config(name, '2s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'`,
    );
  } catch (error) {
    // A server on Windows cannot look; it notices at the end of the statement.
    if (!(error instanceof pg.DatabaseError && error.code === "22023")) throw error;
  }
}
