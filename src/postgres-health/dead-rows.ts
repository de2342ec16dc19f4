import { OpsError } from "../core/errors.ts";
import type { Answer, Catalog } from "./catalog.ts";

/** A table and what is dead in it. Sizes in bytes, times ISO 8601. */
export type TableRows = {
  readonly name: string;
  readonly bytes: number;
  /** Estimates of the statistics. */
  readonly live: number;
  readonly dead: number;
  /** Of all its rows, 0–100. */
  readonly deadPercent: number;
  readonly lastVacuum: string | null;
  readonly lastAutovacuum: string | null;
  /** Whether autovacuum is switched off for it. */
  readonly unattended: boolean;
};

/** How far the oldest rows of the server are from where numbers of transactions begin anew. */
export type Wraparound = {
  /** The database with the oldest rows. */
  readonly database: string;
  readonly xidAge: number;
  readonly multixactAge: number;
  /** Of the two thousand million that there are, 0–100. */
  readonly usedPercent: number;
  /** The ages from which autovacuum must freeze. */
  readonly xidFreezeAge: number;
  readonly multixactFreezeAge: number;
  /** The relation with the oldest rows in the database that is asked. */
  readonly relation: string | null;
};

export type DeadRows = {
  readonly looked: number;
  /** The worst ones. */
  readonly tables: readonly TableRows[];
  /** Tables whose rows nobody has counted since the statistics were lost. */
  readonly uncounted: readonly string[];
  readonly autovacuum: boolean;
  readonly trackCounts: boolean;
  readonly wraparound: Wraparound;
};

// After a failover, a crash or pg_stat_reset the counters begin at nothing, while pg_class still knows how many rows there were.
// pg_table_size waits where somebody has, or waits for, the table for itself: of such a one the size at its last vacuum does.
const statement = `
WITH taken AS (
  SELECT DISTINCT relation FROM pg_locks
   WHERE mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), weighed AS MATERIALIZED (
  SELECT pg_class.oid, relkind, relpersistence, reloptions, reltuples,
         (CASE WHEN oid IN (SELECT relation FROM taken) THEN relpages::int8 * current_setting('block_size')::int
               ELSE pg_table_size(oid) END)::float8 AS bytes
    FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence <> 't'
), sized AS (
  SELECT stat.relid::regclass::text AS name, bytes,
         n_live_tup::float8 AS live, n_dead_tup::float8 AS dead,
         round(100.0 * n_dead_tup / greatest(1, n_live_tup + n_dead_tup), 1)::float8 AS "deadPercent",
         to_char(last_vacuum AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "lastVacuum",
         to_char(last_autovacuum AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "lastAutovacuum",
         coalesce('autovacuum_enabled=false' = ANY (reloptions) OR 'autovacuum_enabled=off' = ANY (reloptions), false) AS unattended,
         coalesce(last_vacuum, last_autovacuum, last_analyze, last_autoanalyze) IS NULL
           AND n_live_tup + n_dead_tup < greatest(1, reltuples) / 2 AS uncounted
    FROM pg_stat_user_tables AS stat JOIN weighed ON weighed.oid = stat.relid
   WHERE bytes >= $1
     AND (cardinality($2::text[]) = 0 OR stat.relid::regclass::text = ANY ($2::text[]))
), oldest AS (
  SELECT datname, age(datfrozenxid) AS xid, mxid_age(datminmxid) AS multixact
    FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 1
)
SELECT (SELECT count(*)::int FROM sized) AS looked,
       (SELECT coalesce(json_agg(each ORDER BY "deadPercent" DESC, dead DESC), '[]')
          FROM (SELECT name, bytes, live, dead, "deadPercent", "lastVacuum", "lastAutovacuum", unattended
                  FROM sized WHERE NOT uncounted ORDER BY "deadPercent" DESC, dead DESC LIMIT 5) AS each) AS tables,
       (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM sized WHERE uncounted) AS uncounted,
       current_setting('autovacuum')::bool AS autovacuum,
       current_setting('track_counts')::bool AS "trackCounts",
       json_build_object('database', datname, 'xidAge', xid, 'multixactAge', multixact,
         'usedPercent', round(100.0 * greatest(xid, multixact) / 2147483647, 1),
         'xidFreezeAge', current_setting('autovacuum_freeze_max_age')::int,
         'multixactFreezeAge', current_setting('autovacuum_multixact_freeze_max_age')::int,
         'relation', (SELECT oid::regclass::text FROM pg_class
                       WHERE relkind IN ('r', 'm', 't') AND relfrozenxid <> '0' ORDER BY age(relfrozenxid) DESC LIMIT 1)) AS wraparound
  FROM oldest`;

/**
 * Estimates of the server's own statistics, which cost nothing to read. A standby counts no rows.
 *
 * @param least bytes that a table must have to be looked at
 * @param names as regclass writes them; none: all
 */
export function readDeadRows(
  catalog: Catalog,
  least: number,
  names: readonly string[],
): Promise<Answer<DeadRows>> {
  return catalog.ask<DeadRows>(statement, [least, names]);
}

/** What pgstattuple_approx has measured of a table, 0–100. */
export type MeasuredBloat = {
  readonly name: string;
  readonly deadPercent: number;
  /** Room that rows have left behind, and that only new rows can use. */
  readonly freePercent: number;
};

/**
 * Reads those pages of the tables that are not known to hold only visible rows. Throws `E_EXTENSION_MISSING` where pgstattuple
 * is not installed.
 */
export async function measureBloat(catalog: Catalog, names: readonly string[]): Promise<MeasuredBloat[]> {
  const { rows } = await catalog.ask<{ schema: string }>(
    "SELECT quote_ident(nspname) AS schema FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pgstattuple'",
  );
  const [found] = rows;
  if (found === undefined) {
    throw new OpsError(
      "E_EXTENSION_MISSING",
      "pgstattuple is not installed in this database; CREATE EXTENSION pgstattuple",
      {
        hint: "or leave out measured, for the estimate of the statistics",
        retryable: false,
      },
    );
  }
  const { rows: measured } = await catalog.ask<MeasuredBloat>(
    `SELECT name, round(dead_tuple_percent::numeric, 1)::float8 AS "deadPercent",
            round(approx_free_percent::numeric, 1)::float8 AS "freePercent"
       FROM unnest($1::text[]) AS name, ${found.schema}.pgstattuple_approx(name::regclass)`,
    [names],
  );
  return [...measured];
}
