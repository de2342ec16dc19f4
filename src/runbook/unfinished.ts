import type { Journal } from "../run/journal.ts";
import { hasChanged, isFinished, type RunState, runState } from "../run/run-state.ts";
import { lockName } from "./lock-name.ts";

/** How far back to look: an unfinished run older than this many runs is history. */
const recent = 50;

/** Runs that stopped in the middle, are held by nobody, and have changed some of these targets last. */
export async function unfinishedOn(
  journal: Journal,
  environment: string,
  targets: readonly string[],
): Promise<{ readonly state: RunState; readonly shared: readonly string[] }[]> {
  const ids = await journal.runs(recent);
  // Whole runs are read only where one of them may be unfinished.
  const ends = await Promise.all(ids.map((id) => journal.newest(id)));
  if (ends.every((type) => type === "run.done" || type === "run.rolled-back")) return [];
  const open = new Set(targets);
  const found: { state: RunState; shared: string[] }[] = [];
  for (const id of ids) {
    const state = runState(await journal.entries(id));
    if (state === undefined || !hasChanged(state)) continue;
    const shared = [...open].filter((target) => state.targets.includes(lockName(environment, target)));
    if (shared.length > 0 && !isFinished(state.status) && (await journal.holder(id)) === undefined)
      found.push({ state, shared });
    // A later run has had the last word on a target.
    for (const target of shared) open.delete(target);
  }
  return found;
}
