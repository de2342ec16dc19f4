import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { databaseError } from "../postgres/connection.ts";
import { copyOut } from "../postgres/copy.ts";
import { withoutValues } from "./row-errors.ts";
import type { KeyOrder } from "./row-merge.ts";
import type { RowText } from "./row-text.ts";
import { shownName, sqlName, type TableName } from "./table-name.ts";
import type { Column, TableShape } from "./table-shape.ts";
import { whereClause } from "./where-condition.ts";

/** One side of a comparison: a session in a transaction that only reads. */
export interface RowSource {
  readonly client: pg.Client;
  /** Whose server it is, for errors. */
  readonly target: DatabaseTarget;
  readonly table: TableName;
  readonly where: string | undefined;
  readonly encoding: string;
}

/** As COPY takes and gives the rows. SQL_ASCII is what it is: bytes that nobody converts. */
export function copyFormat(encoding: string): string {
  return `(FORMAT text, ENCODING '${encoding === "SQL_ASCII" ? encoding : "UTF8"}')`;
}

/** In no order. */
export function allRows(source: RowSource, columns: readonly string[]): AsyncIterable<readonly RowText[]> {
  return copied(source, `SELECT ${columns.map(pg.escapeIdentifier).join(", ")}`, "");
}

/** The key's values first, in an order that `keyOrders` says how to follow; then the columns. */
export function rowsByKey(
  source: RowSource,
  key: readonly Column[],
  columns: readonly string[],
): AsyncIterable<readonly RowText[]> {
  const list = [
    ...key.map((each) => orderedValue(each, source.encoding)),
    ...columns.map(pg.escapeIdentifier),
  ].join(", ");
  return copied(source, `SELECT ${list}`, ` ORDER BY ${key.map((_, index) => index + 1).join(", ")}`);
}

export function keyOrders(key: readonly Column[]): KeyOrder[] {
  return key.map((each) => (each.order === "integer" ? "integer" : "bytes"));
}

/**
 * The columns that rows are told apart by: those that are asked for, or the primary key of then. They must be there now
 * as well. Throws `E_INPUT`.
 */
export function keyColumns(asked: readonly string[], then: TableShape, now: TableShape): Column[] {
  const names = asked.length > 0 ? asked : then.key;
  if (names.length === 0) {
    throw new UsageError("E_INPUT", `${shownName(then.name)} has no primary key to tell rows apart by`, {
      hint: "name columns that are unique together and never change: --key a,b",
    });
  }
  return names.map((name) => {
    const column = then.columns.find((each) => each.name === name);
    const today = now.columns.find((each) => each.name === name);
    if (column === undefined || today === undefined) {
      const when = column === undefined ? "had" : "no longer has";
      throw new UsageError("E_INPUT", `${shownName(then.name)} ${when} no column "${name}" for the key`, {
        hint: `name columns that are there then and now: --key ${common(then, now).slice(0, 3).join(",")}`,
      });
    }
    // A type that has changed since is still comparable as text.
    return column.order === today.order ? column : { ...column, order: "text" };
  });
}

function common(then: TableShape, now: TableShape): string[] {
  return then.columns
    .map((each) => each.name)
    .filter((name) => now.columns.some((each) => each.name === name));
}

/**
 * Where an index of the key can be used, it is; everything else is ordered as text, byte by byte: by the bytes that come,
 * which a server with another encoding has in another order. Numbers that are equal have many texts (1.0 and 1.00).
 */
function orderedValue({ name, order }: Column, encoding: string): string {
  const column = pg.escapeIdentifier(name);
  if (order === "numeric") return `trim_scale(${column})::text COLLATE "C"`;
  if (order !== "text") return column;
  const isAsSent = encoding === "UTF8" || encoding === "SQL_ASCII";
  return isAsSent ? `${column}::text COLLATE "C"` : `convert_to(${column}::text, 'UTF8')`;
}

async function* copied(
  { client, target, table, where, encoding }: RowSource,
  select: string,
  order: string,
): AsyncGenerator<readonly RowText[]> {
  const sql = `COPY (${select} FROM ${sqlName(table)}${whereClause(where)}${order}) TO STDOUT ${copyFormat(encoding)}`;
  try {
    yield* copyOut(client, sql);
  } catch (error) {
    throw databaseError(target, withoutValues(error));
  }
}
