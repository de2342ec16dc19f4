import pg from "pg";
import { sqlName, type TableName } from "./table-name.ts";

/**
 * Sequences of the table's columns that will give out values that rows which came back have: the accident was a
 * `TRUNCATE … RESTART IDENTITY`. Each as a line for a person. They are left as they are: no rollback would take a change of
 * them back. Where the role may not read one, nothing is said of it.
 *
 * @param rows the table with the rows, as in SQL
 */
export async function lateSequences(
  client: pg.Client,
  table: TableName,
  columns: readonly string[],
  rows: string,
): Promise<string[]> {
  const found = await client.query<{ column: string; sequence: string; literal: string; at: string }>(
    `SELECT u.column, s.sequence::text, quote_literal(s.sequence::text) AS literal,
            coalesce(q.last_value, q.start_value - q.increment_by)::text AS at
       FROM unnest($2::text[]) u("column"),
            LATERAL (SELECT pg_get_serial_sequence($1, u.column)::regclass AS sequence) s
       JOIN pg_class c ON c.oid = s.sequence
       JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_sequences q ON q.schemaname = n.nspname AND q.sequencename = c.relname
      WHERE q.increment_by > 0 AND has_sequence_privilege(s.sequence, 'SELECT')`,
    [sqlName(table), columns],
  );
  const notes: string[] = [];
  for (const { column, sequence, literal, at } of found.rows) {
    const name = pg.escapeIdentifier(column);
    const { rows: highest } = await client.query<{ most: string }>(
      `SELECT max(${name})::text AS most FROM ${rows} HAVING max(${name}) > $1::text::bigint`,
      [at],
    );
    const [row] = highest;
    if (row === undefined) continue;
    notes.push(
      `the sequence ${sequence} is at ${at}, and rows that came back have ${column} up to ${row.most}: ` +
        `SELECT setval(${literal}, ${row.most})`,
    );
  }
  return notes;
}
