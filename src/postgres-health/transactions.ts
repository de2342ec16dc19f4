import { type Answer, type Catalog, ownApplication } from "./catalog.ts";

/** A transaction that has begun and not ended. */
export type OpenTransaction = {
  readonly kind: "session" | "prepared";
  /** Of a session. */
  readonly pid: number | null;
  /** The name of a prepared one. */
  readonly gid: string | null;
  readonly database: string;
  readonly user: string;
  readonly application: string;
  readonly backend: string | null;
  readonly state: string | null;
  /** What a session waits for: `Lock: relation`. */
  readonly waitsFor: string | null;
  readonly ageMs: number;
  readonly query: string | null;
};

/** What keeps vacuum from removing dead rows: the oldest of each kind, its age in transactions. */
export type HeldBack = {
  readonly by: "session" | "prepared transaction" | "replication slot" | "standby";
  readonly name: string;
  readonly xidAge: number;
};

export interface TransactionQuestion {
  /** In all databases of the server. */
  readonly everywhere: boolean;
  readonly autovacuum: boolean;
  /** Patterns of LIKE for application_name that are left out. */
  readonly except: readonly string[];
  /** Texts of queries may hold personal data and secrets. */
  readonly queries: boolean;
}

interface Row {
  readonly transactions: readonly OpenTransaction[];
  readonly heldBack: readonly HeldBack[];
  readonly count: number;
}

// A replication connection's transaction is that of a standby or of a slot.
const statement = `
WITH open AS (
  SELECT 'session' AS kind, pid, NULL AS gid, datname AS database, coalesce(usename, '-') AS user,
         coalesce(nullif(application_name, ''), '-') AS application, backend_type AS backend, state,
         wait_event_type || ': ' || wait_event AS "waitsFor",
         greatest(0, extract(epoch FROM clock_timestamp() - xact_start) * 1000)::float8 AS "ageMs",
         CASE WHEN $4 THEN query END AS query
    FROM pg_stat_activity
   WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND leader_pid IS NULL
     AND application_name <> '${ownApplication}'
     AND (datname = current_database() OR $1)
     AND (backend_type <> 'autovacuum worker' OR $2) AND backend_type <> 'walsender'
     AND NOT coalesce(application_name LIKE ANY ($3::text[]), false)
  UNION ALL
  SELECT 'prepared', NULL, gid, database, owner, '-', NULL, 'prepared', NULL,
         greatest(0, extract(epoch FROM clock_timestamp() - prepared) * 1000)::float8, NULL
    FROM pg_prepared_xacts
   WHERE database = current_database() OR $1
), held AS (
  (SELECT 'session' AS by, 'pid ' || pid AS name, age(backend_xmin) AS "xidAge" FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type NOT IN ('walsender', 'autovacuum worker')
    ORDER BY 3 DESC LIMIT 1)
  UNION ALL
  (SELECT 'prepared transaction', gid, age(transaction) FROM pg_prepared_xacts ORDER BY 3 DESC LIMIT 1)
  UNION ALL
  (SELECT 'replication slot', slot_name, greatest(age(xmin), age(catalog_xmin)) FROM pg_replication_slots
    WHERE (xmin IS NOT NULL OR catalog_xmin IS NOT NULL) ORDER BY 3 DESC LIMIT 1)
  UNION ALL
  (SELECT 'standby', coalesce(nullif(application_name, ''), host(client_addr)), age(backend_xmin) FROM pg_stat_replication
    WHERE backend_xmin IS NOT NULL ORDER BY 3 DESC LIMIT 1)
)
SELECT (SELECT count(*)::int FROM open) AS count,
       (SELECT coalesce(json_agg(each ORDER BY "ageMs" DESC), '[]')
          FROM (SELECT * FROM open ORDER BY "ageMs" DESC LIMIT 5) AS each) AS transactions,
       (SELECT coalesce(json_agg(held ORDER BY "xidAge" DESC), '[]') FROM held) AS "heldBack"`;

/** The five oldest. */
export function readTransactions(catalog: Catalog, question: TransactionQuestion): Promise<Answer<Row>> {
  const { everywhere, autovacuum, except, queries } = question;
  return catalog.ask<Row>(statement, [everywhere, autovacuum, except, queries]);
}

/** `pg_dump*` as a pattern of LIKE; `*` stands for any text, everything else for itself. */
export function likePattern(text: string): string {
  return text.replaceAll(/[\\%_]/g, "\\$&").replaceAll("*", "%");
}
