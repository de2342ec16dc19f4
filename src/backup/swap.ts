import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { onServer } from "./restored-database.ts";

export interface Rename {
  readonly from: string;
  readonly to: string;
  /** Which database that must be; undefined where the name alone says it. */
  readonly oid?: number | undefined;
}

/** Somebody who was connected to a database that was renamed. */
export interface EndedSession {
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  readonly address: string;
}

export interface SwapOptions {
  /** Milliseconds after which it is given up. */
  readonly timeout: number;
  readonly signal: AbortSignal;
  readonly sessionName: string;
}

/** Milliseconds between two looks at who is connected. */
const interval = 50;

/**
 * Renames several databases in one transaction, or none of them, and ends the sessions that are in them. Returns whose.
 *
 * ALTER DATABASE … RENAME locks the database first and then waits five seconds for its sessions to leave; who comes
 * anew waits for that lock. So another connection ends the sessions while that statement waits, and nothing has to
 * be set that a crash would leave behind. Throws `E_DATABASE_IN_USE` and `E_DATABASE_CHANGED`.
 */
export async function renameTogether(
  target: DatabaseTarget,
  renames: readonly Rename[],
  { timeout, signal, sessionName }: SwapOptions,
): Promise<EndedSession[]> {
  const avoid = renames.flatMap((each) => [each.from, each.to]);
  const deadline = performance.now() + timeout;
  const ended = new Map<number, EndedSession>();
  const swap = (client: pg.Client) =>
    onServer(
      target,
      signal,
      async (ender) => {
        for (;;) {
          const renamed = await attempt(client, ender, renames, ended);
          if (renamed === true) return [...ended.values()];
          if (performance.now() >= deadline) throw await inUse(ender, renames, renamed);
          signal.throwIfAborted();
        }
      },
      { avoid, sessionName },
    );
  return onServer(target, signal, swap, { avoid, sessionName });
}

/** True, or why a database could not be renamed now. */
async function attempt(
  client: pg.Client,
  ender: pg.Client,
  renames: readonly Rename[],
  ended: Map<number, EndedSession>,
): Promise<true | pg.DatabaseError> {
  let settled = false;
  const renaming = inTransaction(client, renames).finally(() => {
    settled = true;
  });
  const [result] = await Promise.allSettled([renaming, endSessions(ender, renames, ended, () => settled)]);
  if (result.status === "fulfilled") return true;
  const error: unknown = result.reason;
  // object_in_use, lock_not_available.
  if (error instanceof pg.DatabaseError && (error.code === "55006" || error.code === "55P03")) return error;
  // invalid_catalog_name, duplicate_database: another swap was first.
  if (error instanceof pg.DatabaseError && (error.code === "3D000" || error.code === "42P04")) {
    throw databaseChanged(renames[0]?.from ?? "", error);
  }
  throw error;
}

async function inTransaction(client: pg.Client, renames: readonly Rename[]): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query("SET LOCAL lock_timeout = '10s'");
    await client.query("SET LOCAL statement_timeout = 0");
    // The commit must be on disk before anything relies on the names.
    await client.query("SET LOCAL synchronous_commit = on");
    for (const { from, to, oid } of renames) {
      // Before, so that nobody is waited for in a database of somebody else; after, because only then it is locked.
      if (oid !== undefined && (await oidOf(client, from)) !== oid) throw databaseChanged(from);
      await client.query(`ALTER DATABASE ${pg.escapeIdentifier(from)} RENAME TO ${pg.escapeIdentifier(to)}`);
      if (oid !== undefined && (await oidOf(client, to)) !== oid) throw databaseChanged(from);
    }
    await client.query("COMMIT");
  } catch (error) {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

async function oidOf(client: pg.Client, database: string): Promise<number | undefined> {
  const { rows } = await client.query<{ oid: number }>(
    "SELECT oid::int8::float8 AS oid FROM pg_database WHERE datname = $1",
    [database],
  );
  return rows[0]?.oid;
}

async function endSessions(
  client: pg.Client,
  renames: readonly Rename[],
  ended: Map<number, EndedSession>,
  settled: () => boolean,
): Promise<void> {
  while (!settled()) {
    for (const session of await sessionsIn(client, renames)) {
      const stopped = await client
        .query<{ ended: boolean }>("SELECT pg_terminate_backend($1) AS ended", [session.pid])
        .then(({ rows }) => rows[0]?.ended === true)
        // Not allowed to: who it is stands in the error at the end.
        .catch((error: unknown) => {
          if (error instanceof pg.DatabaseError && error.code === "42501") return false;
          throw error;
        });
      if (stopped) ended.set(session.pid, session);
    }
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}

/** By oid where it is known: another swap may just have given the name to a database that is already in use. */
async function sessionsIn(client: pg.Client, renames: readonly Rename[]): Promise<EndedSession[]> {
  const { rows } = await client.query<EndedSession>(
    `SELECT pid, coalesce(usename, backend_type) AS user, application_name AS application,
            coalesce(host(client_addr), 'local') AS address
       FROM pg_stat_activity WHERE datid = ANY($1) OR datname = ANY($2) ORDER BY pid`,
    [
      renames.flatMap(({ oid }) => oid ?? []),
      renames.filter(({ oid }) => oid === undefined).map(({ from }) => from),
    ],
  );
  return rows;
}

export function describeSession({ pid, user, application, address }: EndedSession): string {
  return `${user}${application === "" ? "" : ` (${application})`} from ${address}, pid ${pid}`;
}

async function inUse(
  client: pg.Client,
  renames: readonly Rename[],
  cause: pg.DatabaseError,
): Promise<OpsError> {
  const left = (await sessionsIn(client, renames)).map(describeSession);
  const who = left.length === 0 ? (cause.detail ?? cause.message) : left.join("; ");
  return new OpsError("E_DATABASE_IN_USE", `The database "${renames[0]?.from}" is still in use: ${who}`, {
    cause,
    hint: "nothing is renamed; end what is named, then go on with: ops runs resume",
    details: { sessions: left },
  });
}

export function databaseChanged(name: string, cause?: unknown): OpsError {
  return new OpsError(
    "E_DATABASE_CHANGED",
    `The database "${name}" is not the one that was there when the run began`,
    { cause, hint: "look who else restores or renames it, then begin anew", retryable: false },
  );
}

/** `main_before_20261121T101500Z`, at most 63 bytes, whatever characters the name has. */
export function timedName(name: string, word: "before" | "undone", now: Date): string {
  const end = `_${word}_${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
  let beginning = name;
  while (Buffer.byteLength(beginning + end) > 63) beginning = [...beginning].slice(0, -1).join("");
  return beginning + end;
}
