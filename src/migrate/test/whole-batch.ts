import pg from "pg";
import { identifier } from "../batch/identifier.ts";
import { findPlaceholders, placeholders } from "../batch/placeholders.ts";
import { type SqlFile, sqlFile } from "../sql-file.ts";

/**
 * A backfill as one statement over all keys at once: what it does to the rows and which locks it takes is the same,
 * and a copy has nobody who waits for them. Another file is returned as it is.
 */
export async function wholeBatch(file: SqlFile): Promise<SqlFile> {
  const { batch } = file.settings;
  if (batch === undefined) return file;
  const key = pg.escapeIdentifier(identifier(batch.key));
  let sql = "";
  let from = 0;
  for (const { parameter, index } of await findPlaceholders(file.sql)) {
    const direction = parameter === 1 ? "ASC" : "DESC";
    sql += `${file.sql.slice(from, index)}(SELECT ${key} FROM ${batch.table} ORDER BY ${key} ${direction} LIMIT 1)`;
    from = index + (placeholders[parameter - 1]?.length ?? 0);
  }
  const whole = sql + file.sql.slice(from);
  return sqlFile(file.name, () => whole);
}
