import { digest } from "../core/digest.ts";
import { OpsError } from "../core/errors.ts";
import { refusesTransaction } from "./autocommit.ts";
import { builtIndex, judgeCompletion } from "./completion.ts";
import { dropInvalidIndex } from "./invalid-index.ts";
import { type LockLimits, retryOnLocks } from "./lock-retries.ts";
import { title } from "./migration-file.ts";
import {
  claimPlace,
  forgetProgress,
  isPlaceMoved,
  readProgress,
  recordProgress,
  type StatementProgress,
} from "./progress-table.ts";
import type { MigrationSession } from "./session.ts";
import { leaksSettings, setsForSession } from "./session-settings.ts";
import type { SqlFile } from "./sql-file.ts";
import { asOurselves, begin, commit, commitOwn, localLimit, send } from "./sql-message.ts";
import { placeOfIndex } from "./sql-position.ts";
import { isRecord, type Statement } from "./statements.ts";

/** A file that runs statement by statement. */
export interface StatementUnit {
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  readonly file: SqlFile;
  readonly statements: readonly Statement[];
  /** Proves the whole file before it is recorded. */
  readonly verify: () => Promise<void>;
  /** SQL that records the whole file, in the transaction that forgets the place in it. */
  readonly record: (durationMs: number) => string;
}

/**
 * Runs a file statement by statement. A statement that can run in a transaction is in one together with the record of
 * the place, so it runs exactly once. One that cannot is marked as begun, run, and marked as done; where the process
 * dies in between, the next one looks at what the statement has left (see `judgeCompletion`), and stops where nobody
 * can tell. Throws as `runInTransaction` does, and `E_MIGRATION_HALF_DONE`.
 */
export async function runStatements(
  session: MigrationSession,
  unit: StatementUnit,
  limits: LockLimits,
): Promise<void> {
  const { context, report } = session;
  const { file, statements } = unit;
  const begun = performance.now();
  let place = await resumeAt(session, unit);
  for (const each of statements) refuseThroughPooler(session, unit, each);
  await restoreSettings(session, unit, place.done);
  try {
    for (const [index, statement] of statements.entries()) {
      if (index < place.done) continue;
      context.safePoint();
      await session.lock.confirm();
      report.progress({
        message: `${file.name}: statement ${index + 1} of ${statements.length}`,
        done: index,
        total: statements.length,
      });
      const next = { ...place, ...doneUntil(unit, index + 1), started: null };
      if (runsAlone(file, statement)) await runAlone(session, unit, statement, place, next, limits);
      else await runTogether(session, unit, statement, place, next, limits);
      place = next;
    }
    const durationMs = performance.now() - begun;
    await unit.verify();
    const record = `${forgetProgress(unit.version)} ${unit.record(durationMs)}`;
    await commitPlace(session, unit, place, record);
  } finally {
    // Behind a pooler each statement has been reset in its own transaction, and this would reach just any server.
    if (!session.pooled) {
      await session.client.query("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL").catch(() => undefined);
    }
  }
}

/** Outside a transaction: what PostgreSQL refuses in one, what a pooler must not see, and, asked for, what may commit. */
function runsAlone(file: SqlFile, statement: Statement): boolean {
  if (refusesTransaction(statement) || statement.kind === "VariableSetStmt") return true;
  return (
    file.settings.transaction === "none" && (statement.kind === "CallStmt" || statement.kind === "DoStmt")
  );
}

async function runTogether(
  session: MigrationSession,
  unit: StatementUnit,
  statement: Statement,
  place: StatementProgress,
  next: StatementProgress,
  limits: LockLimits,
): Promise<void> {
  const { file } = unit;
  const { lockTimeout = limits.lockTimeout, statementTimeout } = file.settings;
  try {
    await tryTogether();
  } catch (error) {
    // It did nothing: PostgreSQL refuses it before it begins.
    const alone =
      file.settings.transaction === "none" &&
      error instanceof OpsError &&
      isRecord(error.details) &&
      error.details.sqlstate === "25001";
    if (!alone) throw error;
    await runAlone(session, unit, statement, place, next, limits);
  }

  async function tryTogether() {
    await retryOnLocks(session, file.name, { ...limits, lockTimeout }, async (token) => {
      const opening = begin(session, token, lockTimeout, statementTimeout, file);
      await claim(unit, place, () => session.client.query(`${opening.prefix}${claimInFile(file, place)}`));
      await send(session, {
        file,
        prefix: `/* ops ${token} */ `,
        prefixStatements: 0,
        ...piece(unit, statement),
      });
      await commit(
        session,
        file,
        token,
        lockTimeout,
        recordProgress(next),
        session.pooled ? "reset-settings" : "keep-settings",
      );
    });
  }
}

/** A role that the file has SET may not read our tables: it is put aside for the claim. */
function claimInFile({ sql }: SqlFile, place: StatementProgress): string {
  if (!/role|authorization|set_config|\b(?:call|do)\b/i.test(sql)) return claimPlace(place);
  return `SELECT set_config('ops.authorization', current_setting('session_authorization'), true),
  set_config('ops.role', current_setting('role'), true);
${asOurselves} ${claimPlace(place)}
SELECT set_config('session_authorization', current_setting('ops.authorization'), true),
  set_config('role', current_setting('ops.role'), true);`;
}

async function claim(
  unit: StatementUnit,
  place: StatementProgress,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isPlaceMoved(error)) throw error;
    throw new OpsError(
      "E_MIGRATION_LOCK_LOST",
      `Another run goes on with ${unit.file.name}: its place is not at statement ${place.done + 1} any more`,
      { cause: error, hint: "run it again: it waits for its turn and finishes the rest" },
    );
  }
}

/** Runs SQL of our own in one transaction with the claim of the place. */
async function commitPlace(
  session: MigrationSession,
  unit: StatementUnit,
  place: StatementProgress,
  sql: string,
): Promise<void> {
  await claim(unit, place, () => commitOwn(session, `${claimPlace(place)} ${sql}`));
}

async function runAlone(
  session: MigrationSession,
  unit: StatementUnit,
  statement: Statement,
  place: StatementProgress,
  next: StatementProgress,
  limits: LockLimits,
): Promise<void> {
  const { client } = session;
  const { file } = unit;
  const index = next.done - 1;
  if (place.started === index) {
    const completion = await judgeCompletion(client, statement);
    if (completion === "unknown") throw halfDone(unit, statement, index);
    if (completion === "done") {
      session.report.log(`${file.name}: statement ${index + 1} was done before the earlier run ended`);
      await keepPlace(session, unit, place, next);
      return;
    }
  }
  const { statementTimeout } = file.settings;
  // What is done concurrently holds nobody up while it waits, and it waits for every transaction that is open.
  const lockTimeout = file.settings.lockTimeout ?? (isConcurrent(statement) ? undefined : limits.lockTimeout);
  const built = builtIndex(statement);
  const started = { ...place, started: index };
  await keepPlace(session, unit, place, started);
  try {
    await retryOnLocks(
      session,
      file.name,
      { ...limits, ...(lockTimeout && { lockTimeout }) },
      async (token) => {
        if (built !== undefined) await dropInvalidIndex(session, built);
        if (!session.pooled) {
          const settings = [
            lockTimeout && localLimit("lock_timeout", lockTimeout),
            statementTimeout && localLimit("statement_timeout", statementTimeout),
            session.noticesLostClient && "SET LOCAL client_connection_check_interval = '2s'",
          ].filter((each) => typeof each === "string");
          for (const each of settings) await client.query(each.replace("SET LOCAL", "SET"));
        }
        await send(session, {
          file,
          prefix: `/* ops ${token} */ `,
          prefixStatements: 0,
          ...piece(unit, statement),
        });
      },
    );
  } catch (error) {
    // It failed as a whole: what is begun is over. Where the connection broke, the mark stays, and tells to look.
    if (error instanceof OpsError && error.code === "E_MIGRATION_FAILED") {
      if (built !== undefined) await dropInvalidIndex(session, built);
      await keepPlace(session, unit, started, { ...place, started: null });
    }
    throw error;
  }
  await keepPlace(session, unit, started, next);
}

/** Written by us, whatever role the file has SET; durable when it resolves. */
async function keepPlace(
  session: MigrationSession,
  unit: StatementUnit,
  place: StatementProgress,
  next: StatementProgress,
): Promise<void> {
  await commitPlace(session, unit, place, recordProgress(next));
}

/** The row that tells how far the file is; throws where what is done is not in the file any more. */
async function resumeAt(session: MigrationSession, unit: StatementUnit): Promise<StatementProgress> {
  const { version, name, direction, file, statements } = unit;
  const rows = await readProgress(session.client);
  const row = rows.find((each) => each.version === version);
  const runId = session.context.runId ?? null;
  if (row === undefined) {
    return { version, name, direction, ...doneUntil(unit, 0), started: null, runId };
  }
  if (row.direction !== direction) throw otherDirection(row);
  if (doneUntil(unit, row.done).doneChecksum !== row.doneChecksum) {
    throw changedAbove(file.name, row.done);
  }
  session.report.log(
    row.done < statements.length
      ? `${file.name}: goes on at statement ${row.done + 1} of ${statements.length}`
      : `${file.name}: its ${row.done} statements are done, only the record is missing`,
  );
  return { ...row, total: statements.length, runId };
}

/** @param done how many statements are done */
export function changedAbove(file: string, done: number): OpsError {
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${file} was changed above statement ${done + 1}, where it is to go on: the ${done} before are done`,
    {
      hint: "restore the statements that are done as they were; what comes after them may be changed",
      retryable: false,
    },
  );
}

export function otherDirection(row: StatementProgress): OpsError {
  const half = row.direction === "up" ? "applied" : "taken back";
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${title(row)} is ${half} by half: ${row.done} of ${row.total} statements are done`,
    {
      hint: `finish it (ops migrate ${row.direction}), or settle it with: ops migrate repair --accept ${row.version}`,
      retryable: false,
    },
  );
}

export function doneUntil({ statements }: Pick<StatementUnit, "statements">, done: number) {
  const texts = statements.slice(0, done).map((each) => each.text);
  return { done, total: statements.length, doneChecksum: digest(texts.join(";\n")) };
}

/** What the file has SET before the place where it goes on, for its session. */
async function restoreSettings(session: MigrationSession, unit: StatementUnit, done: number): Promise<void> {
  for (const statement of unit.statements.slice(0, done)) {
    if (!setsForSession(statement)) continue;
    await session.client.query(statement.text);
  }
}

/** Behind a pooler a SET would reach the next client of the same server, and not the next statement of the file. */
function refuseThroughPooler(session: MigrationSession, unit: StatementUnit, statement: Statement): void {
  if (!session.pooled) return;
  const { file } = unit;
  const sets = leaksSettings(statement);
  const { lockTimeout, statementTimeout } = file.settings;
  const limited = runsAlone(file, statement) && (lockTimeout !== undefined || statementTimeout !== undefined);
  if (!sets && !limited) return;
  throw new OpsError(
    "E_MIGRATION_POOLED",
    `${file.name} sets ${sets ? statement.text.split("\n")[0] : "time limits"} outside a transaction, which does not work through a pooler in transaction mode`,
    { hint: "connect to PostgreSQL itself for this migration", retryable: false },
  );
}

function isConcurrent(statement: Statement): boolean {
  return /\bconcurrently\b/i.test(statement.text) || statement.kind === "VacuumStmt";
}

function piece({ statements }: StatementUnit, statement: Statement) {
  const index = statements.indexOf(statement);
  const before =
    index === 0
      ? "nothing was done before it"
      : index === 1
        ? "the one before it is kept"
        : `the ${index} before it are kept`;
  const aftermath = `Statement ${index + 1} of ${statements.length} failed; ${before}, and the next try goes on there`;
  return { sql: statement.text, start: statement.start, aftermath };
}

function halfDone(
  { file, version, statements }: StatementUnit,
  statement: Statement,
  index: number,
): OpsError {
  const { line } = placeOfIndex(file.sql, statement.start).position;
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${file.name}:${line}: an earlier run ended in the middle of statement ${index + 1} of ${statements.length}, and nothing tells whether it had its effect`,
    {
      hint: `look at the database; then, where it had: ops migrate repair --accept ${version}; where it had not: ops migrate repair --retry ${version}`,
      retryable: false,
    },
  );
}
