import { ensureHistoryTable, readHistory, recordApplied } from "./history-table.ts";
import { type Migration, title } from "./migration-file.ts";
import { includesVersion } from "./selection.ts";
import type { MigrationSession } from "./session.ts";
import { type LockLimits, runFile } from "./transaction.ts";

/** Applies those that the history does not hold yet, in the given order. Between two of them is a safe point. */
export async function applyMigrations(
  session: MigrationSession,
  migrations: readonly Migration[],
  limits: LockLimits,
  total: number,
): Promise<void> {
  const { client, context, report } = session;
  await ensureHistoryTable(client);
  const applied = (await readHistory(client)).map((row) => row.version);
  const by = { appliedBy: context.actor, runId: context.runId ?? null };
  for (const [index, migration] of migrations.entries()) {
    if (includesVersion(applied, migration.version)) continue;
    context.safePoint();
    report.progress({ message: `apply ${title(migration)}`, done: index, total });
    await runFile(session, migration.up, limits, (durationMs) =>
      recordApplied(client, migration, by, durationMs),
    );
  }
}
