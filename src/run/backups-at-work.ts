import { isBackupId } from "../archive/backup-id.ts";
import type { OperationContext } from "./context.ts";
import { runState, type StepState } from "./run-state.ts";
import { SqliteJournal } from "./sqlite-journal.ts";

/** A run that lives longer than so many younger ones is not looked for. */
const recent = 500;

/**
 * The backups that a living run of this journal makes, restores or copies now, and the id of that run: what the steps
 * that have begun have found out before. Runs of another journal are not seen.
 */
export async function backupsAtWork(
  context: Pick<OperationContext, "stateDirectory" | "clock">,
): Promise<Map<string, string>> {
  const atWork = new Map<string, string>();
  if (!SqliteJournal.exists(context.stateDirectory)) return atWork;
  const journal = SqliteJournal.openToRead(context.stateDirectory, context.clock);
  try {
    for (const run of await journal.runs(recent)) {
      if ((await journal.holder(run)) === undefined) continue;
      for (const step of runState(await journal.entries(run))?.steps.values() ?? []) {
        for (const id of backupsOf(step)) atWork.set(id, run);
      }
    }
  } finally {
    await journal.close();
  }
  return atWork;
}

function backupsOf(step: StepState): string[] {
  if (step.status === "done" || step.status === "skipped") return [];
  const before = step.before?.value;
  if (typeof before !== "object" || before === null || Array.isArray(before)) return [];
  return Object.values(before).filter((value) => typeof value === "string" && isBackupId(value)) as string[];
}
