import { type Answer, type Catalog, ownApplication } from "./catalog.ts";

/** How many connections there are, and how many there may be. Those of the gate that asks are not counted. */
export type Connections = {
  readonly used: number;
  /** What is left of max_connections without those that are reserved for superusers and pg_use_reserved_connections. */
  readonly usable: number;
  readonly maxConnections: number;
  readonly active: number;
  readonly idle: number;
  readonly idleInTransaction: number;
  /** Of the one that is idle in its transaction for longest, in milliseconds. */
  readonly longestIdleMs: number | null;
  /** Databases and roles with a limit of their own (CONNECTION LIMIT). */
  readonly own: readonly OwnLimit[];
  /** The applications with most of them. */
  readonly applications: readonly {
    readonly application: string;
    readonly user: string;
    readonly count: number;
  }[];
};

export interface OwnLimit {
  readonly of: "database" | "role";
  readonly name: string;
  readonly used: number;
  readonly limit: number;
}

// reserved_connections exists from PostgreSQL 16 on. A superuser is not held to a role's limit.
const statement = `
WITH client AS (
  SELECT datid, datname, usesysid, usename, application_name, state, state_change
    FROM pg_stat_activity
   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> '${ownApplication}'
)
SELECT count(*)::int AS used,
       current_setting('max_connections')::int AS "maxConnections",
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable,
       count(*) FILTER (WHERE state IN ('active', 'fastpath function call'))::int AS active,
       count(*) FILTER (WHERE state = 'idle')::int AS idle,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%')::int AS "idleInTransaction",
       (extract(epoch FROM max(clock_timestamp() - state_change) FILTER (WHERE state LIKE 'idle in transaction%')) * 1000)::float8 AS "longestIdleMs",
       (SELECT coalesce(json_agg(each), '[]') FROM (
          SELECT 'database' AS of, datname AS name, datconnlimit AS limit,
                 (SELECT count(*) FROM client WHERE client.datid = pg_database.oid)::int AS used
            FROM pg_database WHERE datconnlimit > 0
          UNION ALL
          SELECT 'role', rolname, rolconnlimit, (SELECT count(*) FROM client WHERE usesysid = pg_roles.oid)::int
            FROM pg_roles WHERE rolconnlimit > 0 AND NOT rolsuper) AS each) AS own,
       (SELECT coalesce(json_agg(each), '[]') FROM (
          SELECT coalesce(nullif(application_name, ''), '-') AS application, usename AS user, count(*)::int AS count
            FROM client GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 5) AS each) AS applications
  FROM client`;

export function readConnections(catalog: Catalog): Promise<Answer<Connections>> {
  return catalog.ask<Connections>(statement);
}
