import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";

/** A session that holds, or waits in front of us for, a lock we need. */
export type Blocker = {
  /** 0 stands for a prepared transaction. */
  readonly pid: number;
  readonly application: string | null;
  readonly state: string | null;
  /** When its last statement began: ISO 8601, UTC. Null where the server hides it from us. */
  readonly queryStart: string | null;
};

export function describeBlocker(blocker: Blocker): string {
  if (blocker.pid === 0) return "a prepared transaction (see pg_prepared_xacts)";
  const application = blocker.application ? ` "${blocker.application}"` : "";
  const state = blocker.state === null ? "" : `, ${blocker.state}`;
  const since = blocker.queryStart === null ? "" : `, last statement at ${blocker.queryStart}`;
  return `pid ${blocker.pid}${application}${state}${since}`;
}

/**
 * Looks every `interval` milliseconds, on a connection of its own that a quick migration never opens, at who blocks
 * the session `pid`, until `done` aborts. Returns those seen last: once the lock has timed out nobody can tell any more.
 */
export async function watchBlockers(
  context: OperationContext,
  target: DatabaseTarget,
  pid: number,
  interval: number,
  report: Report,
  done: AbortSignal,
): Promise<readonly Blocker[]> {
  let seen: readonly Blocker[] = [];
  if (!(await passes(context, interval, done))) return seen;
  try {
    await withConnection(target, { applicationName: "ops migrate (who blocks)" }, async (client) => {
      do {
        const blockers = await blockersOf(client, pid);
        if (blockers.length === 0) continue;
        seen = blockers;
        report.progress({
          message: `waiting for a lock held by ${blockers.map(describeBlocker).join("; ")}`,
        });
      } while (await passes(context, interval, done));
    });
  } catch (error) {
    // The migration does not depend on it: a server without a free connection must not fail it.
    report.log(`cannot see who blocks: ${error instanceof Error ? error.message : String(error)}`);
  }
  return seen;
}

async function passes(context: OperationContext, ms: number, done: AbortSignal): Promise<boolean> {
  try {
    await context.clock.sleep(ms, done);
    return true;
  } catch (error) {
    if (done.aborted) return false;
    throw error;
  }
}

async function blockersOf(client: pg.ClientBase, pid: number): Promise<Blocker[]> {
  const { rows } = await client.query<Blocker>(
    `SELECT blocker.pid, application_name AS application, state,
            to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "queryStart"
       FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) AS blocker
       LEFT JOIN pg_stat_activity AS activity USING (pid)
      ORDER BY blocker.pid`,
    [pid],
  );
  return rows;
}
