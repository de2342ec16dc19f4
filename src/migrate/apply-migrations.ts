import { ensureHistoryTable, type HistoryRow, readHistory } from "./history-table.ts";
import { type Migration, title } from "./migration-file.ts";
import { applyMigration } from "./run-migration.ts";
import type { MigrationSession } from "./session.ts";
import { hasChecksum } from "./sql-file.ts";
import type { LockLimits } from "./transaction.ts";
import { canonicalVersion } from "./version.ts";

/** Applies those that the history does not hold yet, in the given order. Between two of them is a safe point. */
export async function applyMigrations(
  session: MigrationSession,
  migrations: readonly Migration[],
  limits: LockLimits,
  total: number,
): Promise<void> {
  const { client, context, report } = session;
  await ensureHistoryTable(client);
  const rows = new Map((await readHistory(client)).map((row) => [canonicalVersion(row.version), row]));
  for (const [index, migration] of migrations.entries()) {
    const row = rows.get(canonicalVersion(migration.version));
    if (isApplied(migration, row)) continue;
    context.safePoint();
    await session.lock.confirm();
    report.progress({ message: `apply ${title(migration)}`, done: index, total });
    await applyMigration(session, migration, limits, row);
  }
}

function isApplied(migration: Migration, row: HistoryRow | undefined): boolean {
  if (row === undefined) return false;
  return !migration.repeatable || hasChecksum(migration.up, row.checksum);
}
