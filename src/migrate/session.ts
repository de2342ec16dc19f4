import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { type Assessment, assess } from "./assessment.ts";
import { type BackfillPlace, readPlaces } from "./batch/place-table.ts";
import { type HistoryRow, readHistory } from "./history-table.ts";
import { type MigrationFolder, readFolderOf } from "./migration-file.ts";
import { readProgress, type StatementProgress } from "./progress-table.ts";
import { awaitLastCommit, lockRunner, type RunnerLock } from "./runner-lock.ts";

/** A connection that alone may run migrations in its database. */
export interface MigrationSession {
  readonly client: pg.ClientBase;
  readonly context: OperationContext;
  readonly target: DatabaseTarget;
  readonly report: Report;
  /** To be confirmed before each migration. */
  readonly lock: RunnerLock;
  /**
   * Whether a pooler (PgBouncer) may give every transaction another server: what is SET outside a transaction would
   * reach other clients.
   */
  readonly pooled: boolean;
  /** Whether the server can look, while it works, whether its client is still there (PostgreSQL 14). */
  readonly noticesLostClient: boolean;
}

/** The files and the history, side by side. */
export interface Survey {
  readonly folder: MigrationFolder;
  readonly assessment: Assessment;
  readonly history: readonly HistoryRow[];
  /** Files that run statement by statement and have not come to their end. */
  readonly halfDone: readonly StatementProgress[];
  /** Batched files that have begun and not come to their end. */
  readonly backfills: readonly BackfillPlace[];
}

/** Looks, changes nothing; a database that never saw a migration is fine. */
export async function survey(context: OperationContext, target: DatabaseTarget): Promise<Survey> {
  return withConnection(
    target,
    { signal: context.signal, applicationName: applicationName(context) },
    (client) => look(client, target),
  );
}

/** The same, from inside a session, where nobody else changes the history. */
export async function surveyInside(session: MigrationSession): Promise<Survey> {
  return look(session.client, session.target);
}

async function look(client: pg.ClientBase, target: DatabaseTarget): Promise<Survey> {
  // The files are read while the server works.
  const [history, folder] = await Promise.all([readHistory(client), readFolderOf(target)]);
  const halfDone = await readProgress(client);
  const backfills = (await readPlaces(client)).filter((each) => each.state !== "done");
  return { folder, assessment: assess(folder, history), history, halfDone, backfills };
}

/** Connects, waits for its turn (`lockWait` in milliseconds) and works. */
export async function withMigrationSession<T>(
  context: OperationContext,
  target: DatabaseTarget,
  lockWait: number,
  report: Report,
  work: (session: MigrationSession) => Promise<T>,
): Promise<T> {
  const name = applicationName(context);
  const lock = await lockRunner(context, target, name, lockWait, report);
  try {
    return await withConnection(target, { signal: context.signal, applicationName: name }, async (client) => {
      await awaitLastCommit(client);
      const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      const pooled = rows[0]?.pid !== Reflect.get(client, "processID");
      const noticesLostClient = await canNoticeLostClient(client);
      return work({ client, context, target, report, lock, pooled, noticesLostClient });
    });
  } finally {
    await lock.release();
  }
}

async function canNoticeLostClient(client: pg.ClientBase): Promise<boolean> {
  try {
    await client.query("SELECT set_config('client_connection_check_interval', '2s', true)");
    return true;
  } catch (error) {
    // Unknown to an older server; refused by one on Windows, which cannot look.
    if (error instanceof pg.DatabaseError && (error.code === "42704" || error.code === "22023")) return false;
    throw error;
  }
}

/** PostgreSQL keeps 63 bytes of it. */
function applicationName(context: OperationContext): string {
  return `ops migrate ${context.runId ?? context.actor}`.slice(0, 63);
}
