import { forgetPlaces } from "./batch/place-table.ts";
import { runBatches } from "./batch/run-batches.ts";
import { batchProblems } from "./batch/statement.ts";
import type { BatchSettings } from "./header.ts";
import {
  type Attribution,
  type HistoryRow,
  recordApplied,
  recordTakenBack,
  type Took,
} from "./history-table.ts";
import type { Migration, SqlFile } from "./migration-file.ts";
import type { Problem } from "./problem.ts";
import { refuseProblems } from "./problem.ts";
import { makeRunnable } from "./runnable.ts";
import type { MigrationSession } from "./session.ts";
import { runStatements } from "./statement-run.ts";
import { type LockLimits, runInTransaction, runVerification, type Verification } from "./transaction.ts";

/** Who does it, for the history. */
export function attribution({ context }: Pick<MigrationSession, "context">): Attribution {
  return { appliedBy: context.actor, runId: context.runId ?? null };
}

/** Applies one migration, proves it by its verify file where it has one, and records it. Returns milliseconds. */
export async function applyMigration(
  session: MigrationSession,
  migration: Migration,
  limits: LockLimits,
  previous?: HistoryRow,
): Promise<number> {
  const verification = await verificationOf(migration);
  refuseProblems(session.target.name, verification?.problems ?? []);
  const record = (took: Took) => recordApplied(migration, attribution(session), took, previous);
  return runFile(session, migration, "up", migration.up, limits, record, verification);
}

/** Runs the way back of one migration and takes its record away. Returns milliseconds. */
export async function takeBackMigration(
  session: MigrationSession,
  row: Pick<HistoryRow, "version" | "name" | "checksum">,
  down: SqlFile,
  limits: LockLimits,
): Promise<number> {
  const record = (took: Took) => recordTakenBack(row, attribution(session), took) + forgetPlaces(row.version);
  return runFile(session, row, "down", down, limits, record);
}

/** What a migration's verify file does; undefined where it has none. With problems it must not be run. */
export async function verificationOf(
  migration: Migration,
): Promise<(Verification & { readonly problems: readonly Problem[] }) | undefined> {
  const { verify } = migration;
  if (verify === undefined) return undefined;
  const runnable = await makeRunnable(verify, "rolled-back");
  const sql = runnable.mode === "transaction" ? runnable.sql : verify.sql;
  const { problems } = runnable;
  return { file: verify, sql, returnsRows: migration.verifyReturnsRows === true, problems };
}

async function runFile(
  session: MigrationSession,
  { version, name }: { readonly version: string; readonly name: string },
  direction: "up" | "down",
  file: SqlFile,
  limits: LockLimits,
  recordFile: (took: Took) => string,
  verification?: Verification,
): Promise<number> {
  let durationMs = 0;
  const record = (took: number) => {
    durationMs = took;
    return recordFile(took);
  };
  const verify = async () => {
    if (verification !== undefined) await runVerification(session, verification);
  };
  const { batch: settings } = file.settings;
  if (settings !== undefined) {
    refuseProblems(session.target.name, [...file.problems, ...(await batchProblems(file))]);
    const proof = verification === undefined ? undefined : verify;
    await runBatches(session, { version, name, direction, file, settings, verify: proof, record }, limits);
    return durationMs;
  }
  const runnable = await makeRunnable(file);
  refuseProblems(session.target.name, runnable.problems);
  if (runnable.mode === "transaction") {
    const unit = { file, sql: runnable.sql, verification, record: recordFile };
    return runInTransaction(session, unit, limits);
  }
  const { statements } = runnable;
  await runStatements(session, { version, name, direction, file, statements, verify, record }, limits);
  return durationMs;
}

/** As `notAtomic`, for all that is run to apply a migration. */
export async function notAtomicUp(migration: Migration): ReturnType<typeof notAtomic> {
  const [up, verification] = await Promise.all([notAtomic(migration.up), verificationOf(migration)]);
  return { ...up, problems: [...up.problems, ...(verification?.problems ?? [])] };
}

/** What a plan says about files that are not all or nothing. */
export async function notAtomic(
  file: SqlFile,
): Promise<{ statements: number; batch: BatchSettings | undefined; problems: readonly Problem[] }> {
  const { batch } = file.settings;
  if (batch !== undefined) {
    return { statements: 0, batch, problems: [...file.problems, ...(await batchProblems(file))] };
  }
  const runnable = await makeRunnable(file);
  return {
    statements: runnable.mode === "statements" ? runnable.statements.length : 0,
    batch,
    problems: runnable.problems,
  };
}
