import pg from "pg";
import type { TableName } from "./table-name.ts";

export interface Column {
  readonly name: string;
  /** As in CREATE TABLE, with its schema unless it is PostgreSQL's own: `numeric(10,2)`, `public.mood`. */
  readonly type: string;
  readonly isNotNull: boolean;
  readonly isGenerated: boolean;
  /** Where it is not the type's own; with its schema. */
  readonly collation: string | null;
  /** Of the type below its domains: how keys are put in an order. */
  readonly order: "integer" | "uuid" | "numeric" | "text";
  /** Of an enum, sorted. */
  readonly labels: readonly string[] | null;
}

/** What must be known of a table to take its rows. */
export interface TableShape {
  readonly name: TableName;
  /** `r` a table, `p` a partitioned one, `m` a materialized view, `v` a view, `f` a foreign table. */
  readonly kind: string;
  readonly oid: string;
  readonly isUnlogged: boolean;
  /** Partitions whose rows are not in the cluster's WAL: unlogged ones, and foreign tables. */
  readonly partsElsewhere: readonly string[];
  readonly hasChildren: boolean;
  readonly owner: string;
  readonly columns: readonly Column[];
  /** Columns of the primary key, or of a unique index whose columns are NOT NULL; empty where there is neither. */
  readonly key: readonly string[];
  readonly isPrimary: boolean;
  /** Enabled triggers of the user's that fire for an INSERT, those that only a partition has included. */
  readonly triggers: readonly string[];
  /** The database's, as in `SHOW server_encoding`. */
  readonly encoding: string;
}

/** The schema of a table that is named without one; undefined where there is none on the path of the session. */
export async function schemaOf(client: pg.Client, name: string): Promise<string | undefined> {
  const { rows } = await client.query<{ schema: string }>(
    `SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = to_regclass($1)`,
    [pg.escapeIdentifier(name)],
  );
  return rows[0]?.schema;
}

/** Undefined where there is no such relation. Within a transaction. */
export async function readShape(client: pg.Client, name: TableName): Promise<TableShape | undefined> {
  // Names of types come with their schemas.
  await client.query("SET LOCAL search_path = pg_catalog");
  const { rows } = await client.query<Omit<TableShape, "name">>(shapeSql, [name.schema, name.name]);
  const [found] = rows;
  return found === undefined ? undefined : { ...found, name };
}

const shapeSql = `
  SELECT c.relkind::text AS kind, c.oid::text AS oid, c.relpersistence = 'u' AS "isUnlogged", pg_get_userbyid(c.relowner) AS owner,
         current_setting('server_encoding') AS encoding,
         EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS "hasChildren",
         coalesce((SELECT json_agg(q.relid::regclass::text ORDER BY q.relid)
                     FROM pg_partition_tree(c.oid) q JOIN pg_class e ON e.oid = q.relid
                    WHERE e.relpersistence = 'u' OR e.relkind = 'f'), '[]') AS "partsElsewhere",
         coalesce((SELECT json_agg(json_build_object(
             'name', a.attname,
             'type', format_type(a.atttypid, a.atttypmod),
             'isNotNull', a.attnotnull,
             'isGenerated', a.attgenerated <> '',
             'collation', CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                               THEN format('%I.%I', cn.nspname, co.collname) END,
             'order', CASE WHEN b.base IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'integer'
                           WHEN b.base = 'uuid'::regtype THEN 'uuid'
                           WHEN b.base = 'numeric'::regtype THEN 'numeric' ELSE 'text' END,
             'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumlabel COLLATE "C")
                          FROM pg_enum e WHERE e.enumtypid = b.base)) ORDER BY a.attnum)
           FROM pg_attribute a
           JOIN pg_type t ON t.oid = a.atttypid
           LEFT JOIN pg_collation co ON co.oid = a.attcollation
           LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace,
           LATERAL (WITH RECURSIVE below AS (
                      SELECT t.oid AS type, t.typbasetype AS next
                      UNION ALL SELECT u.oid, u.typbasetype FROM below JOIN pg_type u ON u.oid = below.next)
                    SELECT type AS base FROM below WHERE next = 0) b
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns,
         coalesce(k.columns, '[]') AS key, coalesce(k.indisprimary, false) AS "isPrimary",
         coalesce((SELECT json_agg(g.shown ORDER BY g.shown)
                     FROM (SELECT tgname AS shown, tgenabled, tgtype FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
                           UNION ALL
                           -- What the parent has as well is there already; statements of the parent's fire no others.
                           SELECT tgname || ' of ' || tgrelid::regclass, tgenabled, tgtype FROM pg_trigger
                            WHERE tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)) AND tgrelid <> c.oid
                              AND NOT tgisinternal AND tgparentid = 0 AND tgtype & 1 <> 0) g
                    WHERE g.tgenabled IN ('O', 'A') AND g.tgtype & 4 <> 0), '[]') AS triggers
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL (
      SELECT x.indisprimary,
             (SELECT json_agg(a.attname ORDER BY u.place)
                FROM unnest(x.indkey::int2[]) WITH ORDINALITY u(number, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
               WHERE u.place <= x.indnkeyatts) AS columns
        FROM pg_index x
       WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
         AND NOT EXISTS (SELECT FROM unnest(x.indkey::int2[]) WITH ORDINALITY u(number, place)
                           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
                          WHERE u.place <= x.indnkeyatts AND NOT a.attnotnull)
       ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1) k ON true
   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm', 'v', 'f')`;

/**
 * Values as text that reads the same on both servers, no row hidden by a policy in silence, and no timeout of the
 * server's own in the middle. `schema` comes first on the path, for conditions. Until the transaction ends.
 */
export async function prepareRowSession(client: pg.Client, schema: string): Promise<void> {
  const settings = {
    search_path: `${pg.escapeIdentifier(schema)}, public`,
    timezone: "UTC",
    datestyle: "ISO, YMD",
    intervalstyle: "postgres",
    extra_float_digits: "3",
    bytea_output: "hex",
    lc_monetary: "C",
    xmloption: "content",
    row_security: "off",
    statement_timeout: "0",
    idle_in_transaction_session_timeout: "0",
    lock_timeout: "10s",
  };
  for (const [name, value] of Object.entries(settings)) {
    await client.query("SELECT set_config($1, $2, true)", [name, value]);
  }
}

/**
 * What triggers run with from here on is what the role's sessions have: a trigger that names tables without their schemas
 * finds those that it finds for everybody.
 */
export async function releaseRowSession(client: pg.Client): Promise<void> {
  const names = [
    "search_path",
    "timezone",
    "datestyle",
    "intervalstyle",
    "extra_float_digits",
    "bytea_output",
  ];
  for (const name of [...names, "lc_monetary", "xmloption", "row_security"]) {
    await client.query(`SET LOCAL ${name} TO DEFAULT`);
  }
}
