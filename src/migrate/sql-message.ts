import { once } from "node:events";
import pg from "pg";
import type { Duration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { isLockLost, lockLostError } from "./runner-lock.ts";
import type { MigrationSession } from "./session.ts";
import { isConnectionLoss, isLockConflict, sqlFailure } from "./sql-failure.ts";
import type { SqlFile } from "./sql-file.ts";
import { transactionWords } from "./transaction-control.ts";

/** SQL of a file as it is sent: what goes before it in the same message is not the file's. */
export interface SqlMessage {
  readonly file: SqlFile;
  /** What goes before it: whole statements, or a comment. */
  readonly prefix: string;
  readonly prefixStatements: number;
  readonly sql: string;
  /** What goes after it in the same message: whole statements. */
  readonly suffix?: string;
  /** Where `sql` begins in the file: a UTF-16 index. */
  readonly start: number;
  /** What is left where it fails, as a sentence. Default: nothing is. */
  readonly aftermath?: string;
  /** The way out where it fails. Default: to mend the file. */
  readonly hint?: string;
}

/**
 * Sends it as one message of the simple query protocol: several statements, one round trip. Throws a lock conflict or
 * a lost connection as it is, every other error with its place in the file.
 *
 * @returns how many rows came back, of all statements together
 */
export async function send(session: Pick<MigrationSession, "client">, message: SqlMessage): Promise<number> {
  const query = new CountedQuery(`${message.prefix}${message.sql}${message.suffix ?? ""}`);
  session.client.query(query);
  try {
    await once(query, "end");
  } catch (error) {
    if (isConnectionLoss(error) || isLockConflict(error) || !(error instanceof pg.DatabaseError)) throw error;
    throw await sqlFailure(message, error, query.completed - message.prefixStatements);
  }
  return query.rowCount;
}

/**
 * What opens a transaction with its limits, in front of the SQL that runs in it; all of it ends with the transaction,
 * so that nothing reaches another client of a pooler. Where this process is killed, the server finds out within two
 * seconds and rolls back, instead of finishing the statement for nobody with all its locks held.
 *
 * @param file the one that `commit` is to end; undefined where the caller ends the transaction itself
 */
export function begin(
  session: MigrationSession,
  token: string,
  lockTimeout: Duration,
  statementTimeout: Duration | undefined,
  file?: SqlFile,
): { readonly prefix: string; readonly prefixStatements: number } {
  const statements = ["BEGIN", localLimit("lock_timeout", lockTimeout)];
  if (file !== undefined && needsGuard(file)) statements.push(`SET LOCAL ops.run = '${token}'`);
  if (statementTimeout !== undefined) statements.push(localLimit("statement_timeout", statementTimeout));
  if (session.noticesLostClient) statements.push("SET LOCAL client_connection_check_interval = '2s'");
  return {
    prefix: `/* ops ${token} */ ${statements.join("; ")};\n`,
    prefixStatements: statements.length,
  };
}

export function localLimit(setting: "lock_timeout" | "statement_timeout", limit: Duration): string {
  return `SET LOCAL ${setting} = '${Math.ceil(limit)}ms'`;
}

/** A file may SET ROLE; what is recorded is ours to write. Ends with the transaction. */
export const asOurselves = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE;";

/** A setting that nobody makes: reading it is an error, which tells that the guard has struck. */
const ended = "ops.transaction_ended";

/** Without such words it cannot end the transaction; with RESET ALL it would take the guard's own mark away. */
function needsGuard({ sql }: SqlFile): boolean {
  return transactionWords.test(sql) && !/\b(?:reset|discard)\b/i.test(sql);
}

/** Words without which a file neither SETs something for its session nor runs a function that could. */
const mayLeaveSettings =
  /\b(?:set|reset|discard|select|values|do|call|insert|update|delete|merge|copy|execute|refresh|load|import)\b/i;

/**
 * Ends the transaction that `begin` opened: undoes what the file has SET for its session (a pooler would hand it on),
 * records, commits; one round trip. Throws `E_MIGRATION_TRANSACTION` where the file has ended the transaction itself.
 */
export async function commit(
  session: MigrationSession,
  file: SqlFile,
  token: string,
  lockTimeout: Duration,
  record: string,
  settings: "reset-settings" | "keep-settings" = "reset-settings",
): Promise<void> {
  try {
    await session.client.query(ending(session, file, token, lockTimeout, record, settings));
  } catch (error) {
    if (isLockLost(error)) throw lockLostError(session.target.name, error);
    if (!(error instanceof pg.DatabaseError) || isConnectionLoss(error) || isLockConflict(error)) throw error;
    if (!error.message.includes(ended)) {
      throw await sqlFailure({ file, prefix: "", prefixStatements: 0, sql: file.sql, start: 0 }, error);
    }
    throw transactionEnded(file);
  }
}

/** SQL that fails where a mark that was SET LOCAL in the transaction is not there any more. */
export function guard(mark: "ops.run" | "ops.verify", token: string): string {
  return `SELECT CASE WHEN coalesce(current_setting('${mark}', true), '') <> '${token}' THEN current_setting('${ended}') END;`;
}

/** Whether an error is that of the guard, or of a savepoint that is gone with its transaction. */
export function isTransactionEnded(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return error.message.includes(ended) || error.code === "25P01" || error.code === "3B001";
}

export function transactionEnded(file: SqlFile): OpsError {
  return new OpsError(
    "E_MIGRATION_TRANSACTION",
    `${file.name} ended the transaction it was run in, so some of it may be kept without a record of it`,
    {
      hint: `remove every COMMIT and ROLLBACK from ${file.name} and look at what it has left in the database`,
      retryable: false,
    },
  );
}

/** Runs SQL of our own in a transaction, as `commit` ends one. Throws `E_MIGRATION_LOCK_LOST`. */
export async function commitOwn(
  { client, lock, target }: Pick<MigrationSession, "client" | "lock" | "target">,
  sql: string,
): Promise<void> {
  try {
    await client.query(`BEGIN; ${asOurselves} ${sql} ${lock.fence} COMMIT`);
  } catch (error) {
    if (!isConnectionLoss(error)) await client.query("ROLLBACK");
    throw isLockLost(error) ? lockLostError(target.name, error) : error;
  }
}

/** What `commit` sends. */
export function ending(
  session: Pick<MigrationSession, "lock">,
  file: SqlFile,
  token: string,
  lockTimeout: Duration,
  record: string,
  settings: "reset-settings" | "keep-settings" = "reset-settings",
): string {
  const parts = [
    ...(needsGuard(file) ? [guard("ops.run", token)] : []),
    ...(settings === "keep-settings" ? [asOurselves] : []),
    ...(settings === "reset-settings" && mayLeaveSettings.test(file.sql)
      ? ["RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;", `${localLimit("lock_timeout", lockTimeout)};`]
      : []),
    record,
    session.lock.fence,
    "COMMIT",
  ];
  return parts.join("\n");
}

/**
 * Whether what follows a file in one message cannot become part of it: it has no quote and no comment that could be
 * left open, and no word that could end the transaction.
 */
export function endsWhereItEnds({ sql }: SqlFile): boolean {
  return !/['"$]|\/\*/.test(sql) && !transactionWords.test(sql);
}

/** Knows how many statements of its text went through, which places the errors that come without a position. */
class CountedQuery extends pg.Query {
  completed = 0;
  rowCount = 0;

  override submit = (connection: pg.Connection): void => {
    const countStatement = () => {
      this.completed += 1;
    };
    const countRow = () => {
      this.rowCount += 1;
    };
    connection.on("commandComplete", countStatement);
    connection.on("dataRow", countRow);
    for (const ending of ["end", "error"]) {
      this.once(ending, () => {
        connection.off("commandComplete", countStatement);
        connection.off("dataRow", countRow);
      });
    }
    pg.Query.prototype.submit.call(this, connection);
  };
}
