import type { Journal } from "../run/journal.ts";
import { unfinishedOn } from "../runbook/unfinished.ts";
import type { Session } from "./session.ts";

/** A run that crashed on the same targets is worth knowing of before another one begins. */
export async function warnOfUnfinished(
  { terminal, environment }: Session,
  journal: Journal,
  targets: readonly string[],
): Promise<void> {
  for (const { state, shared } of await unfinishedOn(journal, environment.name, targets)) {
    terminal.note(
      `${terminal.noteColor.yellow("!")} run ${state.id} (${state.request.name}) stopped in the middle of ${shared.join(", ")}\n  ${terminal.noteColor.cyan("→")} finish it: ops runs resume ${state.id}, or take it back: ops runs rollback ${state.id}`,
    );
  }
}
