import type pg from "pg";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { migrationLock, opsLockSpace } from "../postgres/ops-schema.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { pause } from "./pause.ts";

/** Between two tries. Short, because the holder is usually done in less than a second. */
const shortestPause = 50;
const longestPause = 500;

/**
 * Waits until this session alone may run migrations in its database. The lock is the session's: it ends with the
 * connection, so a killed runner leaves none behind. It is asked for again and again instead of waited for in the
 * server, because a waiting statement holds a snapshot that a CREATE INDEX CONCURRENTLY of the holder would wait for.
 * Throws `E_MIGRATION_LOCK` (exit code 6), naming the holder.
 */
export async function lockRunner(
  context: OperationContext,
  client: pg.ClientBase,
  database: string,
  wait: number,
  report: Report,
): Promise<void> {
  const began = context.clock.elapsed();
  let told = "";
  for (let ms = shortestPause; ; ms = Math.min(ms * 2, longestPause)) {
    const { rows } = await client.query("SELECT pg_try_advisory_lock($1, $2) AS locked", [
      opsLockSpace,
      migrationLock,
    ]);
    if (rows[0]?.locked === true) return;
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

/** `pid 4711, "ops migrate 20260101-…", since 2026-01-01T12:00:00Z`; undefined where it is just gone. */
async function describeHolder(client: pg.ClientBase): Promise<string | undefined> {
  const { rows } = await client.query<{ pid: number; application: string; since: string | null }>(
    `SELECT activity.pid, activity.application_name AS application,
            to_char(activity.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
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
