import type pg from "pg";
import { quotedName } from "./relation-name.ts";

/** A table, index, sequence, view or materialized view of the application. */
export interface Relation {
  readonly oid: string;
  /** As SQL would write it; without the schema where that is `public`. */
  readonly name: string;
  readonly kind: "table" | "index" | "sequence" | "view" | "materialized view";
  /** The file that holds it; another one after a rewrite. 0 where it has none. */
  readonly fileNode: string;
  /** Of an index: the oid of its table. */
  readonly tableOid: string | null;
}

const kinds: Readonly<Record<string, Relation["kind"]>> = {
  r: "table",
  p: "table",
  f: "table",
  i: "index",
  I: "index",
  S: "sequence",
  v: "view",
  m: "materialized view",
};

/** Every relation outside PostgreSQL's and our own schemas, by oid. Takes no lock on any of them. */
export async function readRelations(client: pg.ClientBase): Promise<Map<string, Relation>> {
  const { rows } = await client.query<{
    oid: string;
    schema: string;
    name: string;
    kind: string;
    fileNode: string;
    tableOid: string | null;
  }>(`
    SELECT c.oid::text, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
           c.relfilenode::text AS "fileNode", i.indrelid::text AS "tableOid"
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
     WHERE c.relkind IN ('r', 'p', 'f', 'i', 'I', 'S', 'v', 'm')
       AND n.nspname NOT IN ('information_schema', 'ops') AND n.nspname !~ '^pg_'`);
  return new Map(
    rows.map(({ oid, schema, name, kind, fileNode, tableOid }) => [
      oid,
      { oid, name: quotedName(schema, name), kind: kinds[kind] ?? "table", fileNode, tableOid },
    ]),
  );
}

export interface TableSize {
  /** With indexes and TOAST. */
  readonly bytes: number;
  /** The planner's estimate; null where the table was never analysed. */
  readonly rows: number | null;
}

/** Sizes of the tables, by name as in `Relation`. Of a partitioned table: the sum of its partitions. */
export async function readTableSizes(client: pg.ClientBase): Promise<Map<string, TableSize>> {
  const { rows } = await client.query<{ schema: string; name: string; bytes: string; rows: string | null }>(`
    SELECT n.nspname AS schema, c.relname AS name,
           (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(coalesce(t.relid, c.oid))), 0)
              FROM (SELECT 1) AS one LEFT JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) t ON c.relkind = 'p')::text AS bytes,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples::numeric::text END AS rows
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm')
       AND n.nspname NOT IN ('information_schema', 'ops') AND n.nspname !~ '^pg_'`);
  return new Map(
    rows.map(({ schema, name, bytes, rows }) => [
      quotedName(schema, name),
      { bytes: Number(bytes), rows: rows === null ? null : Math.round(Number(rows)) },
    ]),
  );
}
