import pg from "pg";
import { formatDiagnostic } from "../core/diagnostic.ts";
import { OpsError } from "../core/errors.ts";
import type { SqlFile } from "./migration-file.ts";
import { placeOfCharacter, placeOfIndex, type SourcePlace } from "./sql-position.ts";
import { statements } from "./statements.ts";

const activeTransaction = "25001";

/** Whether the server ended the session or the connection broke: the file is not to blame. */
export function isConnectionLoss(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || /^(08|57P0)/.test(error.code ?? "");
}

/** Whether another session was in the way and a second try can help: a lock timeout, a deadlock. */
export function isLockConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === "55P03" || error.code === "40P01");
}

/**
 * `E_MIGRATION_FAILED`: what the server said about a file, with the place, or `E_MIGRATION_TRANSACTION` for a statement
 * that cannot run in a transaction. For one that is rolled back.
 *
 * @param completed how many statements of the file went through before; undefined where all of them did
 */
export function sqlFailure(file: SqlFile, error: pg.DatabaseError, completed?: number): OpsError {
  const where = explain(file, error, completed);
  const details = {
    file: file.name,
    sqlstate: error.code,
    detail: error.detail,
    context: error.where,
    table: error.table,
    constraint: error.constraint,
  };
  if (error.code === activeTransaction) {
    return new OpsError("E_MIGRATION_TRANSACTION", `${where}\nEvery migration runs in a transaction`, {
      hint: `remove that statement from ${file.name} and run it by hand`,
      details,
      retryable: false,
    });
  }
  return new OpsError("E_MIGRATION_FAILED", `${where}\nThe file failed and all of it was rolled back`, {
    hint: `mend ${file.name} and run it again`,
    details,
    retryable: false,
  });
}

function explain(file: SqlFile, error: pg.DatabaseError, completed: number | undefined): string {
  const place = placeOf(file, error, completed);
  const lines =
    place === undefined
      ? [`${file.name}: ${error.message}${error.hint === undefined ? "" : `\n  = ${error.hint}`}`]
      : [formatDiagnostic({ file: file.name, ...place, message: error.message, hint: error.hint })];
  if (error.detail !== undefined) lines.push(`  detail: ${error.detail}`);
  // The statement of a function's body: its text is not in the file.
  if (error.internalQuery !== undefined) lines.push(`  in: ${error.internalQuery.trim()}`);
  if (error.where !== undefined) lines.push(`  context: ${error.where}`);
  return lines.join("\n");
}

/** Where the server points; for the many errors without a position, where the statement begins that failed. */
function placeOf(
  file: SqlFile,
  error: pg.DatabaseError,
  completed: number | undefined,
): SourcePlace | undefined {
  if (error.position !== undefined) return placeOfCharacter(file.sql, Number(error.position));
  const failed = completed === undefined ? undefined : statements(file.sql)[completed];
  return failed === undefined ? undefined : placeOfIndex(file.sql, failed.index);
}
