import { type Answer, type Catalog, ownApplication } from "./catalog.ts";

/** A session that waits for a lock. Times in milliseconds. */
export type Waiting = {
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  readonly waitedMs: number;
  /** `AccessExclusiveLock`, … */
  readonly mode: string;
  /** The relation, or the kind of thing that is locked: `transactionid`, `advisory`. */
  readonly on: string;
  /** 0 stands for a prepared transaction. */
  readonly blockedBy: readonly number[];
  readonly query: string | null;
};

/** A session that waits for nobody and that others wait for. */
export type Blocking = {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly state: string | null;
  readonly transactionMs: number | null;
  readonly query: string | null;
};

export type LockWaits = {
  readonly count: number;
  readonly waiting: readonly Waiting[];
  readonly blocking: readonly Blocking[];
  /** Since the statistics were reset. */
  readonly deadlocks: number;
  /** ISO 8601; null: never. */
  readonly deadlocksSince: string | null;
};

// pg_blocking_pids stops the lock manager for a moment each: for the longest waits only. waitstart exists from PostgreSQL 14 on.
const statement = `
WITH ungranted AS (
  SELECT DISTINCT ON (activity.pid) activity.pid, usename AS user,
         coalesce(nullif(application_name, ''), '-') AS application,
         coalesce(greatest(0, extract(epoch FROM clock_timestamp() -
           CASE WHEN current_setting('server_version_num')::int < 140000 THEN query_start
                ELSE (to_jsonb(lock) ->> 'waitstart')::timestamptz END) * 1000), 0)::float8 AS "waitedMs",
         lock.mode,
         CASE WHEN lock.relation IS NOT NULL AND lock.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
              THEN lock.relation::regclass::text ELSE lock.locktype END AS on,
         CASE WHEN $2 THEN query END AS query
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
   WHERE NOT lock.granted AND datname = current_database() AND application_name <> '${ownApplication}'
     AND NOT coalesce(application_name LIKE ANY ($1::text[]), false)
   ORDER BY activity.pid, 4 DESC
), waiting AS MATERIALIZED (
  SELECT *, pg_blocking_pids(pid) AS "blockedBy" FROM (SELECT * FROM ungranted ORDER BY "waitedMs" DESC LIMIT 20) AS longest
), blocking AS (
  SELECT DISTINCT unnest("blockedBy") AS pid FROM waiting
)
SELECT (SELECT count(*)::int FROM ungranted) AS count,
       (SELECT coalesce(json_agg(waiting ORDER BY "waitedMs" DESC), '[]') FROM waiting) AS waiting,
       (SELECT coalesce(json_agg(each ORDER BY "transactionMs" DESC NULLS LAST), '[]') FROM (
          SELECT blocking.pid, usename AS user, application_name AS application, state,
                 (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::float8 AS "transactionMs",
                 CASE WHEN $2 THEN query END AS query
            FROM blocking LEFT JOIN pg_stat_activity AS activity USING (pid)
           WHERE blocking.pid NOT IN (SELECT pid FROM ungranted)) AS each) AS blocking,
       deadlocks::float8 AS deadlocks,
       to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "deadlocksSince"
  FROM pg_stat_database WHERE datname = current_database()`;

/** @param except patterns of LIKE for application_name */
export function readLockWaits(
  catalog: Catalog,
  except: readonly string[],
  queries: boolean,
): Promise<Answer<LockWaits>> {
  return catalog.ask<LockWaits>(statement, [except, queries]);
}
