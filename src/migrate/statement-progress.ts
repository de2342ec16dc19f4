import type pg from "pg";
import type { Progress } from "../run/operation.ts";

/**
 * Each view of the server's progress reporting as (what, unit, done, total). A phase counts blocks, rows or the sessions
 * that it waits for; 0 of 0 where it counts nothing, as while it sorts. The pace of one says nothing of the next, which
 * the unit tells. The views are those of PostgreSQL 14 and later.
 */
const sources = `
  SELECT pid, 'building index ' || coalesce(nullif(index_relid, 0)::regclass::text, 'on ' || relid::regclass::text)
              || ': ' || replace(phase, 'building index: ', '') AS what,
         CASE WHEN blocks_total > 0 THEN 'blocks' WHEN tuples_total > 0 THEN 'rows' ELSE 'sessions' END AS unit,
         CASE WHEN blocks_total > 0 THEN blocks_done WHEN tuples_total > 0 THEN tuples_done ELSE lockers_done END AS done,
         CASE WHEN phase LIKE '%sorting%' THEN 0 WHEN blocks_total > 0 THEN blocks_total
              WHEN tuples_total > 0 THEN tuples_total ELSE lockers_total END AS total
    FROM pg_stat_progress_create_index WHERE datname = current_database()
  UNION ALL
  SELECT pid, command || ' ' || relid::regclass || ': ' || phase, 'blocks', heap_blks_scanned, heap_blks_total
    FROM pg_stat_progress_cluster WHERE datname = current_database()
  UNION ALL
  SELECT pid, 'VACUUM ' || relid::regclass || ': ' || phase, 'blocks', heap_blks_scanned, heap_blks_total
    FROM pg_stat_progress_vacuum WHERE datname = current_database()
  UNION ALL
  SELECT pid, 'ANALYZE ' || relid::regclass || ': ' || phase, 'blocks', sample_blks_scanned, sample_blks_total
    FROM pg_stat_progress_analyze WHERE datname = current_database()
  UNION ALL
  SELECT pid, command || coalesce(' ' || nullif(relid, 0)::regclass::text, ''), 'bytes', bytes_processed, bytes_total
    FROM pg_stat_progress_copy WHERE datname = current_database()`;

/** How far the statement of a server process is; undefined where the server does not tell. */
export async function readStatementProgress(
  client: pg.ClientBase,
  pid: number,
): Promise<Progress | undefined> {
  const { rows } = await client.query<{
    what: string;
    unit: NonNullable<Progress["unit"]>;
    done: string;
    total: string;
  }>(`SELECT what, unit, done, total FROM (${sources}) AS progress WHERE pid = $1`, [pid]);
  const [row] = rows;
  if (row === undefined) return undefined;
  const total = Number(row.total);
  return total === 0
    ? { message: row.what }
    : { message: row.what, unit: row.unit, done: Number(row.done), total };
}
