import type { Clock } from "../core/clock.ts";
import { type RunStatus, runState } from "../run/run-state.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";

/** How far back a run is looked for: more than begin within a day, run after run, on one machine. */
const recent = 500;

/** What the journal knows of a scheduled run. */
export interface JournaledRun {
  readonly id: string;
  readonly status: RunStatus;
  /** Somebody alive works on it. */
  readonly held: boolean;
  /** Milliseconds since 1970. */
  readonly lastAt: number;
  readonly message: string | undefined;
  readonly hint: string | undefined;
}

/** The newest run that this actor began; undefined where it began none. */
export async function findJournaledRun(
  stateDirectory: string,
  clock: Clock,
  actor: string,
): Promise<JournaledRun | undefined> {
  if (!SqliteJournal.exists(stateDirectory)) return undefined;
  const journal = SqliteJournal.open(stateDirectory, clock);
  try {
    for (const id of await journal.runs(recent)) {
      const entries = await journal.entries(id);
      const first = entries[0];
      if (first?.type !== "run.created" || first.data.actor !== actor) continue;
      const state = runState(entries);
      if (state === undefined) continue;
      return {
        id,
        status: state.status,
        held: (await journal.holder(id)) !== undefined,
        lastAt: Date.parse(state.lastAt),
        message: state.error?.message ?? state.reason,
        hint: state.error?.hint,
      };
    }
    return undefined;
  } finally {
    await journal.close();
  }
}
