import pg from "pg";
import { quotedName } from "./relation-name.ts";
import type { TableSize } from "./relations.ts";

export interface ColumnContents {
  readonly name: string;
  /** Values that are not null. */
  readonly held: number;
  /** Equal for equal values in any order of rows; null where the table is too big to read every value. */
  readonly sum: string | null;
}

export interface TableContents {
  /** As SQL would write it; without the schema where that is `public`. */
  readonly name: string;
  readonly rows: number;
  /** Over whole rows, equal for the same rows in any order of rows and columns; null as a column's is. */
  readonly sum: string | null;
  /** By the column's number, which a rename keeps. */
  readonly columns: ReadonlyMap<number, ColumnContents>;
}

/** By the table's oid, which a rename keeps. */
export type Contents = ReadonlyMap<string, TableContents>;

/** Above it (1 GiB) values are counted and not read: hashing them all would take longer than the migration. */
const largestHashed = 2 ** 30;

interface Table {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly { readonly number: number; readonly name: string }[];
}

/**
 * How many rows and values every table holds, and a sum over the values. `earlier` is what was read before; only the
 * tables in `written` and those that are new are read again.
 */
export async function readContents(
  client: pg.ClientBase,
  sizes: ReadonlyMap<string, TableSize>,
  earlier?: { readonly contents: Contents; readonly written: ReadonlySet<string> | undefined },
): Promise<Contents> {
  const contents = new Map<string, TableContents>();
  for (const table of await tables(client)) {
    const known = earlier?.contents.get(table.oid);
    const isCurrent = known !== undefined && earlier?.written?.has(table.oid) === false;
    contents.set(table.oid, isCurrent ? known : await readTable(client, table, sizes));
  }
  return contents;
}

/** Partitions hold the rows of their partitioned table, and a foreign table's rows are somewhere else. */
async function tables(client: pg.ClientBase): Promise<Table[]> {
  const { rows } = await client.query<Table>(`
    SELECT c.oid::text, n.nspname AS schema, c.relname AS name,
           coalesce((SELECT json_agg(json_build_object('number', a.attnum, 'name', a.attname) ORDER BY a.attnum)
                       FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname NOT IN ('information_schema', 'ops') AND n.nspname !~ '^pg_'
     ORDER BY c.oid`);
  return rows;
}

async function readTable(
  client: pg.ClientBase,
  { schema, name, columns }: Table,
  sizes: ReadonlyMap<string, TableSize>,
): Promise<TableContents> {
  const shown = quotedName(schema, name);
  const hashed = (sizes.get(shown)?.bytes ?? 0) <= largestHashed;
  const sumOf = (value: string) =>
    hashed
      ? `sum(pg_catalog.hashtextextended(${value}::pg_catalog.text COLLATE "C", 0))::pg_catalog.text`
      : "NULL";
  const values = columns.flatMap((each) => {
    const column = pg.escapeIdentifier(each.name);
    return [`count(${column})::pg_catalog.text`, sumOf(column)];
  });
  // By name, since a column that goes and comes back stands at another place.
  const row = columns.map((each) => pg.escapeIdentifier(each.name)).sort();
  // One array, since a table may have more columns than a query may give back.
  const { rows } = await client.query<{ found: (string | null)[] }>(
    `SELECT ARRAY[${["count(*)::pg_catalog.text", sumOf(`ROW(${row.join(", ")})`), ...values].join(", ")}] AS found
       FROM ONLY ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`,
  );
  const [all, sum, ...found] = rows[0]?.found ?? [];
  return {
    name: shown,
    rows: Number(all),
    sum: sum ?? null,
    columns: new Map(
      columns.map((each, index) => [
        each.number,
        { name: each.name, held: Number(found[2 * index]), sum: found[2 * index + 1] ?? null },
      ]),
    ),
  };
}
