import { OpsError } from "../core/errors.ts";
import { claimPlace, isPlaceMoved, recordProgress, type StatementProgress } from "./progress-table.ts";
import type { MigrationSession } from "./session.ts";
import type { SqlFile } from "./sql-file.ts";
import { asOurselves, commitOwn } from "./sql-message.ts";
import type { StatementUnit } from "./statement-unit.ts";

/** A role that the file has SET may not read our tables: it is put aside for the claim. */
export function claimInFile({ sql }: SqlFile, place: StatementProgress): string {
  if (!/role|authorization|set_config|\b(?:call|do)\b/i.test(sql)) return claimPlace(place);
  return `SELECT set_config('ops.authorization', current_setting('session_authorization'), true),
  set_config('ops.role', current_setting('role'), true);
${asOurselves} ${claimPlace(place)}
SELECT set_config('session_authorization', current_setting('ops.authorization'), true),
  set_config('role', current_setting('ops.role'), true);`;
}

/** Throws `E_MIGRATION_LOCK_LOST` where another run has moved the place that `work` claims. */
export async function claim(
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
export async function commitPlace(
  session: MigrationSession,
  unit: StatementUnit,
  place: StatementProgress,
  sql: string,
): Promise<void> {
  await claim(unit, place, () => commitOwn(session, `${claimPlace(place)} ${sql}`));
}

/** Written by us, whatever role the file has SET; durable when it resolves. */
export async function keepPlace(
  session: MigrationSession,
  unit: StatementUnit,
  place: StatementProgress,
  next: StatementProgress,
): Promise<void> {
  await commitPlace(session, unit, place, recordProgress(next));
}
