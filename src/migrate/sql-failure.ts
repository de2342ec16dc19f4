import pg from "pg";
import { formatDiagnostic } from "../core/diagnostic.ts";
import { OpsError } from "../core/errors.ts";
import type { SqlFile } from "./migration-file.ts";
import { placeOfCharacter } from "./sql-position.ts";

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
 * that cannot run in a transaction. The transaction has been rolled back.
 */
export function sqlFailure(file: SqlFile, error: pg.DatabaseError): OpsError {
  const where = explain(file, error);
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

function explain(file: SqlFile, error: pg.DatabaseError): string {
  const character = Number(error.position);
  const lines = Number.isInteger(character)
    ? [at(file, character, error)]
    : [`${file.name}: ${error.message}${error.hint === undefined ? "" : `\n  = ${error.hint}`}`];
  if (error.detail !== undefined) lines.push(`  detail: ${error.detail}`);
  // The statement of a function's body: its text is not in the file.
  if (error.internalQuery !== undefined) lines.push(`  in: ${error.internalQuery.trim()}`);
  if (error.where !== undefined) lines.push(`  context: ${error.where}`);
  return lines.join("\n");
}

function at(file: SqlFile, character: number, error: pg.DatabaseError): string {
  return formatDiagnostic({
    file: file.name,
    ...placeOfCharacter(file.sql, character),
    message: error.message,
    hint: error.hint,
  });
}
