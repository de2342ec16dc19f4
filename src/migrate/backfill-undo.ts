import type { UndoResult } from "../run/operation.ts";
import { describeHalfDone } from "./batch/half-done.ts";
import type { BackfillPlace } from "./batch/place-table.ts";
import { type MigrationFolder, title } from "./migration-file.ts";
import { takeBackMigration } from "./run-migration.ts";
import { includesVersion } from "./selection.ts";
import type { MigrationSession } from "./session.ts";
import type { LockLimits } from "./transaction.ts";

/**
 * Takes back the backfill that this run worked on last and did not end: its way back runs over all rows, done or not. Undefined
 * where there is nothing in the way of taking back the rest; otherwise the result to end with.
 */
export async function takeBackHalfDone(
  session: MigrationSession,
  { migrations, wayBackFile }: MigrationFolder,
  backfills: readonly BackfillPlace[],
  planned: readonly string[],
  limits: LockLimits,
): Promise<UndoResult | undefined> {
  const runId = session.context.runId ?? null;
  for (const place of backfills) {
    if (place.direction !== "up" || !includesVersion(planned, place.version)) continue;
    if (place.runId !== runId) {
      const note = `${describeHalfDone(place)}; another run (${place.runId ?? "outside a journaled run"}) worked on it last, so nothing was taken back`;
      return { undone: false, note };
    }
    const migration = migrations.find((each) => each.version === place.version);
    if (migration?.down === undefined) {
      const note = `${describeHalfDone(place)}, and ${wayBackFile(place)} is missing, so nothing was taken back`;
      return { undone: false, note };
    }
    session.report.progress({ message: `take back ${title(place)}` });
    const { version, name, up } = migration;
    await takeBackMigration(session, { version, name, checksum: up.checksum }, migration.down, limits);
  }
  return undefined;
}
