import { randomBytes } from "node:crypto";
import { formatDiagnostic } from "../core/diagnostic.ts";
import { OpsError } from "../core/errors.ts";
import { sinceBegin, type Took } from "./history-table.ts";
import { type LockLimits, retryOnLocks } from "./lock-retries.ts";
import { isLockLost, lockLostError } from "./runner-lock.ts";
import type { MigrationSession } from "./session.ts";
import type { SqlFile } from "./sql-file.ts";
import {
  begin,
  commit,
  ending,
  endsWhereItEnds,
  guard,
  isTransactionEnded,
  type SqlMessage,
  send,
  transactionEnded,
} from "./sql-message.ts";

export type { LockLimits } from "./lock-retries.ts";

/** What proves a migration, in the transaction that made it. */
export interface Verification {
  readonly file: SqlFile;
  readonly sql: string;
  /** Whether rows are fine and only errors fail it. */
  readonly returnsRows: boolean;
}

export interface TransactionUnit {
  readonly file: SqlFile;
  /** As long as the file's own, so that places stay places. */
  readonly sql: string;
  readonly verification?: Verification | undefined;
  /** SQL that records it, in the same transaction; gets how long the file took. */
  readonly record: (took: Took) => string;
}

/**
 * Runs a file, its verification and its record in one transaction: all are kept or none. One round trip for a
 * plain file, two for one that could reach beyond its end. Throws `E_LOCK_TIMEOUT` with the blockers, `E_MIGRATION_FAILED`, `E_MIGRATION_TRANSACTION`,
 * `E_MIGRATION_VERIFY`.
 *
 * @returns how long the file took, in milliseconds
 */
export async function runInTransaction(
  session: MigrationSession,
  unit: TransactionUnit,
  limits: LockLimits,
): Promise<number> {
  const { file, sql, verification } = unit;
  const { lockTimeout = limits.lockTimeout, statementTimeout } = file.settings;
  let durationMs = 0;
  await retryOnLocks(session, file.name, { ...limits, lockTimeout }, async (token) => {
    const opening = begin(session, token, lockTimeout, statementTimeout, file);
    const start = performance.now();
    if (verification === undefined && endsWhereItEnds(file)) {
      const suffix = `\n;\n${ending(session, file, token, lockTimeout, unit.record(sinceBegin))}`;
      await sendWhole(session, { file, ...opening, sql, suffix, start: 0 });
      durationMs = performance.now() - start;
      return;
    }
    await send(session, { file, ...opening, sql, start: 0 });
    durationMs = performance.now() - start;
    if (verification !== undefined) await verifyInside(session, verification);
    await commit(session, file, token, lockTimeout, unit.record(durationMs));
  });
  return durationMs;
}

/** As `send`, with the fence in the same message. */
async function sendWhole(session: MigrationSession, message: SqlMessage): Promise<void> {
  try {
    await send(session, message);
  } catch (error) {
    throw isLockLost(error) ? lockLostError(session.target.name, error) : error;
  }
}

/** In the transaction that made the migration, which it leaves as it was. Throws as `runVerification` does. */
export async function verifyInside(
  session: Pick<MigrationSession, "client">,
  verification: Verification,
): Promise<void> {
  const token = randomBytes(6).toString("hex");
  const prefix = `SET LOCAL ops.verify = '${token}'; SAVEPOINT ops_verify; SET LOCAL transaction_read_only = on;\n`;
  await verifyGuarded(session, verification, token, prefix, 3);
}

/** In a transaction of its own. Throws `E_MIGRATION_VERIFY`, and `E_MIGRATION_TRANSACTION` as `verifyGuarded` does. */
export async function runVerification(
  session: Pick<MigrationSession, "client">,
  verification: Verification,
): Promise<void> {
  const token = randomBytes(6).toString("hex");
  const prefix = `BEGIN READ ONLY; SET LOCAL ops.verify = '${token}'; SAVEPOINT ops_verify;\n`;
  try {
    await verifyGuarded(session, verification, token, prefix, 3);
  } finally {
    await session.client.query("ROLLBACK; RESET ALL");
  }
}

/**
 * What it does is read-only, and rolled back. Throws `E_MIGRATION_TRANSACTION` where it has ended the transaction: what
 * came behind that could write, and a migration made in it is kept without its record.
 */
async function verifyGuarded(
  session: Pick<MigrationSession, "client">,
  verification: Verification,
  token: string,
  prefix: string,
  prefixStatements: number,
): Promise<void> {
  let failure: unknown;
  try {
    await verify(session, verification, prefix, prefixStatements);
  } catch (error) {
    failure = error;
  }
  try {
    await session.client.query(
      `ROLLBACK TO SAVEPOINT ops_verify; RELEASE SAVEPOINT ops_verify; ${guard("ops.verify", token)}`,
    );
  } catch (error) {
    if (!isTransactionEnded(error)) throw failure ?? error;
    throw transactionEnded(verification.file);
  }
  if (failure !== undefined) throw failure;
}

async function verify(
  session: Pick<MigrationSession, "client">,
  { file, sql, returnsRows }: Verification,
  prefix: string,
  prefixStatements: number,
): Promise<void> {
  let rows: number;
  try {
    rows = await send(session, { file, prefix, prefixStatements, sql, start: 0 });
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "E_MIGRATION_FAILED") throw error;
    throw failed(file, error.message, error.details);
  }
  if (rows === 0 || returnsRows) return;
  const message = `returned ${rows === 1 ? "a row" : `${rows} rows`} where there must be none`;
  throw failed(file, formatDiagnostic({ file: file.name, position: { line: 1, column: 1 }, message }), {
    rows,
  });
}

function failed(file: SqlFile, message: string, details: OpsError["details"]): OpsError {
  return new OpsError("E_MIGRATION_VERIFY", message, {
    hint: `see what ${file.name} finds; the migration it verifies does not do what it should`,
    details,
    retryable: false,
  });
}
