import type { Clock } from "../core/clock.ts";
import { type RunState, type RunStatus, runState } from "./run-state.ts";
import { SqliteJournal } from "./sqlite-journal.ts";

/** How far back a run is looked for: more than begin within a day, run after run, on one machine. */
const recent = 500;

/** What the journal knows of a run that some other process began. */
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
      if (state !== undefined) return known(journal, state);
    }
    return undefined;
  } finally {
    await journal.close();
  }
}

/** Undefined where there is no such run. */
export async function journaledRun(
  stateDirectory: string,
  clock: Clock,
  id: string,
): Promise<JournaledRun | undefined> {
  if (!SqliteJournal.exists(stateDirectory)) return undefined;
  const journal = SqliteJournal.open(stateDirectory, clock);
  try {
    const state = runState(await journal.entries(id));
    return state === undefined ? undefined : await known(journal, state);
  } finally {
    await journal.close();
  }
}

async function known(journal: SqliteJournal, state: RunState): Promise<JournaledRun> {
  return {
    id: state.id,
    status: state.status,
    held: (await journal.holder(state.id)) !== undefined,
    lastAt: Date.parse(state.lastAt),
    message: state.error?.message ?? state.reason,
    hint: state.error?.hint,
  };
}
