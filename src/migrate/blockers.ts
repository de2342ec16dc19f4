import type pg from "pg";
import { withConnection } from "../postgres/connection.ts";
import { shownQuery } from "../postgres-health/shown-query.ts";
import type { MigrationSession } from "./session.ts";
import { readStatementProgress } from "./statement-progress.ts";

/** A session that holds, or waits in front of us for, a lock we need. */
export type Blocker = {
  /** 0 stands for a prepared transaction. */
  readonly pid: number;
  readonly application: string | null;
  readonly state: string | null;
  /** When its last statement began: ISO 8601, UTC. Null where the server hides it from us. */
  readonly queryStart: string | null;
  /** Age of its transaction in seconds. */
  readonly age: number | null;
  /** The beginning of its last statement. */
  readonly query: string | null;
};

export function describeBlocker(blocker: Blocker): string {
  if (blocker.pid === 0) return "a prepared transaction (see pg_prepared_xacts)";
  const application = blocker.application ? ` "${blocker.application}"` : "";
  const state = blocker.state === null ? "" : `, ${blocker.state}`;
  const age = blocker.age === null ? "" : `, in its transaction for ${blocker.age}s`;
  const since = blocker.queryStart === null ? "" : `, last statement at ${blocker.queryStart}`;
  const query = blocker.query ? `: ${blocker.query}` : "";
  return `pid ${blocker.pid}${application}${state}${age}${since}${query}`;
}

/**
 * Looks every `interval` milliseconds, on a connection of its own that a quick migration never opens, at the statement
 * that carries the token: who blocks it, and how far it is, until `done` aborts. Returns the blockers seen last: once
 * the lock has timed out nobody can tell any more.
 */
export async function watchStatement(
  session: MigrationSession,
  token: string,
  interval: number,
  done: AbortSignal,
): Promise<readonly Blocker[]> {
  const { context, target, report } = session;
  let seen: readonly Blocker[] = [];
  if (!(await passes(session, interval, done))) return seen;
  try {
    const options = { signal: context.signal, applicationName: "ops migrate (who blocks)" };
    await withConnection(target, options, async (client) => {
      do {
        const pid = await findStatement(client, token);
        if (pid === undefined) continue;
        const blockers = await blockersOf(client, pid);
        if (blockers.length > 0) {
          seen = blockers;
          report.progress({
            message: `waiting for a lock held by ${blockers.map(describeBlocker).join("; ")}`,
          });
          continue;
        }
        const progress = await readStatementProgress(client, pid);
        if (progress !== undefined) report.progress(progress);
      } while (await passes(session, interval, done));
    });
  } catch (error) {
    // The migration does not depend on it: a server without a free connection must not fail it.
    if (!done.aborted) {
      report.log(`cannot see who blocks: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return seen;
}

async function passes({ context }: MigrationSession, ms: number, done: AbortSignal): Promise<boolean> {
  try {
    await context.clock.sleep(ms, done);
    return true;
  } catch (error) {
    if (done.aborted) return false;
    throw error;
  }
}

/** By the comment its text begins with: behind a pooler no connection knows its server process. */
async function findStatement(client: pg.ClientBase, token: string): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE starts_with(query, $1) AND state = 'active'",
    [`/* ops ${token} */`],
  );
  return rows[0]?.pid;
}

async function blockersOf(client: pg.ClientBase, pid: number): Promise<Blocker[]> {
  const { rows } = await client.query<Blocker>(
    `SELECT blocker.pid, application_name AS application, state,
            to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "queryStart",
            extract(epoch FROM clock_timestamp() - xact_start)::int AS age, query
       FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) AS blocker
       LEFT JOIN pg_stat_activity AS activity USING (pid)
      ORDER BY blocker.pid`,
    [pid],
  );
  return rows.map((each) => ({ ...each, query: each.query === null ? null : shownQuery(each.query) }));
}
