import pg from "pg";
import { type SqlFile, sqlFile } from "../sql-file.ts";

/**
 * A backfill as one statement over all keys at once: what it does to the rows and which locks it takes is the same,
 * and a copy has nobody who waits for them. Another file is returned as it is.
 */
export function wholeBatch(file: SqlFile): SqlFile {
  const { batch } = file.settings;
  if (batch === undefined) return file;
  const table = batch.table
    .split(".")
    .map((each) => pg.escapeIdentifier(each))
    .join(".");
  const bound = (aggregate: "min" | "max") =>
    `(SELECT ${aggregate}(${pg.escapeIdentifier(batch.key)}) FROM ${table})`;
  const sql = file.sql
    .replaceAll(/(?<!:):batch_start\b/g, () => bound("min"))
    .replaceAll(/(?<!:):batch_end\b/g, () => bound("max"));
  return sqlFile(file.name, () => sql);
}
