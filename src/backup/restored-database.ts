import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";

export interface ServerOptions {
  /** Databases that must have no connection of ours, because they are to be renamed. */
  readonly avoid?: readonly string[];
  /** How the session is called, where `endOrphans` is to find it after a crash. */
  readonly sessionName?: string;
}

/**
 * Works on a connection to the server's `postgres` database, or to the target's own one where there is none: the
 * database to restore may be the one that was lost.
 */
export async function onServer<T>(
  target: DatabaseTarget,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
  { avoid = [], sessionName }: ServerOptions = {},
): Promise<T> {
  const own = await ownDatabase(target);
  const candidates = [...new Set(["postgres", own, "template1"])].filter((each) => !avoid.includes(each));
  let failure: unknown;
  for (const database of candidates) {
    try {
      return await withConnection(target, { signal, database, applicationName: sessionName }, work);
    } catch (error) {
      failure ??= error;
      if (!(error instanceof OpsError) || error.code !== "E_DATABASE_UNREACHABLE") throw error;
    }
  }
  throw failure;
}

/** The database that the target's URL names. */
async function ownDatabase(target: DatabaseTarget): Promise<string> {
  const { PGDATABASE, PGUSER } = await connectionEnvironment(target);
  return PGDATABASE ?? PGUSER ?? "postgres";
}

export interface FoundDatabase {
  /** Stays the same whatever it is called. */
  readonly oid: number;
  readonly comment: string | null;
}

export async function findDatabase(client: pg.Client, name: string): Promise<FoundDatabase | undefined> {
  const { rows } = await client.query<FoundDatabase>(
    "SELECT oid::int8::float8 AS oid, shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1",
    [name],
  );
  return rows[0];
}

/** Whether the restore with this scratch name made it and found it whole: nobody but us writes that comment. */
export function isWhole(found: FoundDatabase | undefined, scratch: string): boolean {
  return found?.comment?.includes(`${wholeMark} `) === true && found.comment.includes(scratch);
}

export const wholeMark = "ops: restored from";

/** The comment of a restored database: the source's own, and below it where it comes from. */
export function restoredComment(own: string | null, mark: string): string {
  const before = own?.replace(new RegExp(`\\n*^${wholeMark} backup .*$`, "m"), "") ?? "";
  return [before, `${wholeMark} ${mark}`].filter((each) => each !== "").join("\n");
}

/**
 * Ends the sessions of that name, and waits until they are gone. The server goes on with a statement whose client was
 * killed: a CREATE DATABASE would otherwise be done after whoever cleans up has looked.
 */
export async function endOrphans(client: pg.Client, sessionName: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const { rows } = await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()",
      [sessionName],
    );
    if (rows.length === 0) return;
    if (performance.now() > deadline) {
      throw new OpsError(
        "E_DATABASE_IN_USE",
        `A session of an earlier attempt (${sessionName}) does not end`,
        {
          hint: "look at it in pg_stat_activity, then go on with: ops runs resume",
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
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

/** Throws what these statements would throw, and takes them back. */
export async function tryStatements(client: pg.Client, statements: readonly string[]): Promise<void> {
  await client.query("BEGIN");
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
  }
}

/** In one transaction: the settings for loading go, the source's own come, and the comment says that it is whole. */
export async function finishDatabase(
  client: pg.Client,
  name: string,
  statements: readonly string[],
  comment: string,
): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} RESET ALL`);
    for (const statement of statements) await client.query(statement);
    await setComment(client, name, comment);
    await client.query("COMMIT");
  } catch (error) {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
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
    hint: "choose another name for --into, or put the restored one in its place with: --swap",
  });
}
