import type pg from "pg";
import type { Problem } from "../problem.ts";
import { identifier } from "./identifier.ts";
import type { BatchStatement } from "./statement.ts";

/** The key by which a backfill goes through its table. */
export interface KeyColumn {
  /** Quoted, with its schema. */
  readonly table: string;
  /** Quoted. */
  readonly column: string;
  /** As in a cast: `bigint`. */
  readonly type: string;
}

/** Types whose order, text and index PostgreSQL keeps the same from batch to batch. */
const types = [
  "smallint",
  "integer",
  "bigint",
  "uuid",
  "text",
  "character varying",
  "date",
  "timestamp with time zone",
];

/** The key column, or what is wrong with it. Only looks. */
export async function findKeyColumn(
  client: pg.ClientBase,
  { file, settings }: Pick<BatchStatement, "file" | "settings">,
): Promise<KeyColumn | Problem> {
  const { rows } = await client.query(
    `SELECT quote_ident(schema.nspname) || '.' || quote_ident(rel.relname) AS "table", rel.relkind AS kind,
            quote_ident(col.attname) AS "column", format_type(col.atttypid, NULL) AS type, col.attnotnull AS "notNull",
            EXISTS (SELECT
                      FROM pg_index AS index
                      JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
                      JOIN pg_am AS method ON method.oid = index_class.relam AND method.amname = 'btree'
                      JOIN pg_opclass AS class ON class.oid = index.indclass[0] AND class.opcdefault
                     WHERE index.indrelid = rel.oid AND index.indkey[0] = col.attnum AND index.indisvalid
                       AND index.indpred IS NULL AND index.indcollation[0] = col.attcollation) AS indexed
       FROM pg_class AS rel
       JOIN pg_namespace AS schema ON schema.oid = rel.relnamespace
       LEFT JOIN pg_attribute AS col
         ON col.attrelid = rel.oid AND col.attname = $2 AND col.attnum > 0 AND NOT col.attisdropped
      WHERE rel.oid = to_regclass($1)`,
    [settings.table, identifier(settings.key)],
  );
  const [found] = rows;
  const { table, key } = settings;
  const wrong = (message: string, hint: string): Problem => ({
    kind: "batch",
    message: `${file.name}: ${message}`,
    hint,
  });
  if (found === undefined || !["r", "p"].includes(found.kind)) {
    return wrong(`there is no table ${table}`, "name the table of the key: -- ops: batch table=…");
  }
  if (found.column === null) {
    return wrong(`the table ${table} has no column ${key}`, "name a column of it: -- ops: batch key=…");
  }
  if (!types.includes(found.type)) {
    return wrong(
      `${table}.${key} is of type ${found.type}, and a key is one of ${types.join(", ")}`,
      "name another column: -- ops: batch key=…",
    );
  }
  if (found.notNull !== true) {
    return wrong(
      `${table}.${key} may be NULL, and rows without a key would be left out`,
      "name a NOT NULL column, or make it one: -- ops: batch key=…",
    );
  }
  if (found.indexed !== true) {
    return wrong(
      `${table}.${key} has no btree index, so every batch would read the whole table`,
      `make one in a migration before this one: CREATE INDEX CONCURRENTLY ON ${table} (${key})`,
    );
  }
  return { table: found.table, column: found.column, type: found.type };
}

export function isProblem(found: KeyColumn | Problem): found is Problem {
  return "kind" in found;
}
