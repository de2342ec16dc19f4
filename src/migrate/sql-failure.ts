import pg from "pg";
import { formatDiagnostic } from "../core/diagnostic.ts";
import { OpsError } from "../core/errors.ts";
import { opsRightsHint } from "../postgres/ops-schema.ts";
import { isAppliedElsewhere } from "./history-table.ts";
import { explainPsqlInput, rowsBehindCopy } from "./psql-input.ts";
import type { SqlMessage } from "./sql-message.ts";
import { placeOfIndex, type SourcePlace } from "./sql-position.ts";
import { splitStatements } from "./statements.ts";

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
 * that cannot run in a transaction.
 *
 * @param completed how many statements of the message went through before; undefined where all of them did
 */
export async function sqlFailure(
  message: SqlMessage,
  error: pg.DatabaseError,
  completed?: number,
): Promise<OpsError> {
  const { file } = message;
  if (isAppliedElsewhere(error)) {
    return new OpsError(
      "E_MIGRATION_LOCK_LOST",
      `Another process has just applied ${file.name}; its transaction here was rolled back`,
      { cause: error, hint: "run it again: it takes what is applied for applied and goes on with the rest" },
    );
  }
  const place = await placeOf(message, error, completed);
  const where = explain(message, error, place);
  // Without a place it may be the record that failed, and not the file.
  const rights = place === undefined ? opsRightsHint(error) : undefined;
  const details = {
    file: file.name,
    sqlstate: error.code,
    detail: error.detail,
    context: error.where,
    table: error.table,
    constraint: error.constraint,
  };
  if (error.code === activeTransaction) {
    return new OpsError("E_MIGRATION_TRANSACTION", `${where}\nThe file runs in one transaction`, {
      hint: `put this line on top of ${file.name}: -- ops: transaction=none`,
      details,
      retryable: false,
    });
  }
  return new OpsError(
    "E_MIGRATION_FAILED",
    `${where}\n${message.aftermath ?? "The file failed and all of it was rolled back"}`,
    {
      hint: message.hint ?? rights ?? `mend ${file.name} and run it again`,
      details,
      retryable: false,
    },
  );
}

function explain(message: SqlMessage, error: pg.DatabaseError, place: SourcePlace | undefined): string {
  const { file } = message;
  const forPsql = whyOnlyPsql(message, error);
  const said = forPsql === undefined ? error.message : `${error.message}: ${forPsql}`;
  const lines =
    place === undefined
      ? [`${file.name}: ${said}${error.hint === undefined ? "" : `\n  = ${error.hint}`}`]
      : [formatDiagnostic({ file: file.name, ...place, message: said, hint: error.hint })];
  if (error.detail !== undefined) lines.push(`  detail: ${error.detail}`);
  // The statement of a function's body: its text is not in the file.
  if (error.internalQuery !== undefined) lines.push(`  in: ${error.internalQuery.trim()}`);
  if (error.where !== undefined) lines.push(`  context: ${error.where}`);
  return lines.join("\n");
}

const syntaxError = "42601";
const queryCanceled = "57014";

/** Where the text is written for psql: its commands, and the rows of a COPY. */
function whyOnlyPsql(message: SqlMessage, error: pg.DatabaseError): string | undefined {
  if (error.code === queryCanceled && /^COPY from stdin failed/.test(error.message)) return rowsBehindCopy;
  // The statement of a function's body is not the file's.
  if (error.code !== syntaxError || error.internalQuery !== undefined) return undefined;
  const index = indexOf(message, error);
  return index === undefined ? undefined : explainPsqlInput(message.file.sql, index);
}

/** The UTF-16 index of the file to which the server points. */
function indexOf({ prefix, sql, start }: SqlMessage, error: pg.DatabaseError): number | undefined {
  if (error.position === undefined) return undefined;
  const character = Number(error.position) - [...prefix].length;
  return start + [...sql].slice(0, Math.max(0, character - 1)).join("").length;
}

/** Where the server points; for the many errors without a position, where the statement begins that failed. */
async function placeOf(
  message: SqlMessage,
  error: pg.DatabaseError,
  completed: number | undefined,
): Promise<SourcePlace | undefined> {
  const { file, sql, start } = message;
  const index = indexOf(message, error);
  if (index !== undefined) return placeOfIndex(file.sql, index);
  if (completed === undefined || completed < 0) return undefined;
  const failed = await splitOrNothing(sql);
  const begins = failed[completed]?.start;
  return begins === undefined ? undefined : placeOfIndex(file.sql, start + begins);
}

/** A text that the parser does not read has no places; the server's error about it is the one to tell. */
async function splitOrNothing(sql: string) {
  try {
    return await splitStatements(sql);
  } catch (error) {
    if (error instanceof OpsError) return [];
    throw error;
  }
}
