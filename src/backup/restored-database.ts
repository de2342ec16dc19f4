import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";

/**
 * Works on a connection to the server's `postgres` database, or to the target's own one where there is none: the
 * database to restore may be the one that was lost.
 */
export async function onServer<T>(
  target: DatabaseTarget,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  try {
    return await withConnection(target, { signal, database: "postgres" }, work);
  } catch (error) {
    const missing = error instanceof OpsError && error.code === "E_DATABASE_UNREACHABLE";
    if (!missing) throw error;
    return withConnection(target, { signal }, work);
  }
}

/** The comment on a database, null where it has none, undefined where there is no such database. */
export async function databaseComment(client: pg.Client, name: string): Promise<string | null | undefined> {
  const { rows } = await client.query<{ comment: string | null }>(
    "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1",
    [name],
  );
  return rows[0]?.comment;
}

export async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
}

export async function setComment(client: pg.Client, name: string, comment: string): Promise<void> {
  await client.query(`COMMENT ON DATABASE ${pg.escapeIdentifier(name)} IS ${pg.escapeLiteral(comment)}`);
}

/**
 * What makes loading faster and cannot lose anything: the database gets its final name in a later commit, which is
 * waited for and comes after everything else in the write-ahead log.
 */
export async function setForLoading(client: pg.Client, name: string, workMemory: number): Promise<void> {
  const alter = `ALTER DATABASE ${pg.escapeIdentifier(name)} SET`;
  await client.query(`${alter} maintenance_work_mem = '${Math.max(1024, Math.floor(workMemory / 1024))}kB'`);
  await client.query(`${alter} synchronous_commit = off`);
}

export async function resetSettings(client: pg.Client, name: string): Promise<void> {
  await client.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} RESET ALL`);
}

/** Waits for the last connections to leave (PostgreSQL renames no database that is in use). */
export async function renameDatabase(client: pg.Client, from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`ALTER DATABASE ${pg.escapeIdentifier(from)} RENAME TO ${pg.escapeIdentifier(to)}`);
      return;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      // duplicate_database: somebody made one of that name while the restore was running.
      if (error.code === "42P04") throw databaseExists(to);
      // object_in_use: PostgreSQL itself has waited five seconds.
      if (error.code !== "55006" || attempt === 6) throw error;
    }
  }
}

export function databaseExists(name: string): UsageError {
  return new UsageError("E_DATABASE_EXISTS", `The server already has a database "${name}"`, {
    hint: "choose another name for --into; a restore never writes into a database that is there",
  });
}
