import { OpsError } from "../core/errors.ts";
import { refusesTransaction } from "./autocommit.ts";
import type { MigrationSession } from "./session.ts";
import { leaksSettings, setsForSession } from "./session-settings.ts";
import type { SqlFile } from "./sql-file.ts";
import { localLimit } from "./sql-message.ts";
import type { StatementUnit } from "./statement-unit.ts";
import type { Statement } from "./statements.ts";

type Limits = Pick<SqlFile["settings"], "lockTimeout" | "statementTimeout">;

/** Outside a transaction: what PostgreSQL refuses in one, what a pooler must not see, and, asked for, what may commit. */
export function runsAlone(file: SqlFile, statement: Statement): boolean {
  if (refusesTransaction(statement) || statement.kind === "VariableSetStmt") return true;
  return file.settings.transaction === "none" && mayCommit(statement);
}

/** Whether a statement may commit in the middle of its work, so that a second try could do a part of it twice. */
export function mayCommit(statement: Statement): boolean {
  if (statement.kind === "CallStmt") return true;
  return statement.kind === "DoStmt" && /commit|rollback|call/i.test(statement.text);
}

/** Behind a pooler a SET would reach the next client of the same server, and not the next statement of the file. */
export function refuseThroughPooler(session: MigrationSession, { file, statements }: StatementUnit): void {
  if (!session.pooled) return;
  const { lockTimeout, statementTimeout } = file.settings;
  const limited = lockTimeout !== undefined || statementTimeout !== undefined;
  for (const statement of statements) {
    const sets = leaksSettings(statement);
    if (!sets && !(limited && runsAlone(file, statement))) continue;
    throw new OpsError(
      "E_MIGRATION_POOLED",
      `${file.name} sets ${sets ? statement.text.split("\n")[0] : "time limits"} outside a transaction, which does not work through a pooler in transaction mode`,
      { hint: "connect to PostgreSQL itself for this migration", retryable: false },
    );
  }
}

/** What the file has SET before the place where it goes on, for its session. */
export async function restoreSettings(
  { client }: MigrationSession,
  { statements }: StatementUnit,
  done: number,
): Promise<void> {
  for (const statement of statements.slice(0, done)) {
    if (setsForSession(statement)) await client.query(statement.text);
  }
}

/** Behind a pooler each statement has been reset in its own transaction, and this would reach just any server. */
export async function forgetSettings({ client, pooled }: MigrationSession): Promise<void> {
  if (pooled) return;
  // Where the connection is gone its settings are too.
  await client.query("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL").catch(() => undefined);
}

/**
 * Sets limits for a statement outside a transaction, and afterwards what the file had before: the next one may be one
 * that must wait. Behind a pooler nothing is set.
 */
export async function withinLimits(
  { client, pooled, noticesLostClient }: MigrationSession,
  { lockTimeout, statementTimeout }: Limits,
  work: () => Promise<unknown>,
): Promise<void> {
  if (pooled) {
    await work();
    return;
  }
  const { rows } = await client.query<{ back: string }>(
    `SELECT string_agg(format('SET %I = %L', name, current_setting(name)), '; ') AS back
       FROM unnest(ARRAY['lock_timeout', 'statement_timeout']) AS name`,
  );
  const settings = [
    lockTimeout && localLimit("lock_timeout", lockTimeout),
    statementTimeout && localLimit("statement_timeout", statementTimeout),
    noticesLostClient && "SET LOCAL client_connection_check_interval = '2s'",
  ].filter((each) => typeof each === "string");
  for (const each of settings) await client.query(each.replace("SET LOCAL", "SET"));
  try {
    await work();
  } finally {
    // Where the connection is gone its settings are too.
    await client.query(rows[0]?.back ?? "").catch(() => undefined);
  }
}
