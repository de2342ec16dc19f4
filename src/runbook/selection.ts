import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Runbook, steps } from "./runbook.ts";

export interface Selection {
  /** The first step to run. */
  readonly from?: string | undefined;
  readonly only?: readonly string[] | undefined;
  readonly skip?: readonly string[] | undefined;
}

/** Ids of the steps that a selection leaves out. Throws `E_STEP_UNKNOWN`. */
export function unselectedSteps(runbook: Runbook, { from, only, skip }: Selection): Set<string> {
  const ids = steps(runbook).map((step) => step.id);
  for (const id of [from, ...(only ?? []), ...(skip ?? [])]) {
    if (id !== undefined && !ids.includes(id)) throw unknownStep(runbook, id, ids);
  }
  const first = from === undefined ? 0 : ids.indexOf(from);
  const left = ids.filter(
    (id, index) => index < first || only?.includes(id) === false || skip?.includes(id) === true,
  );
  if (left.length === ids.length) {
    throw new UsageError("E_STEP_UNKNOWN", "Nothing is left to run", {
      hint: "--from, --only and --skip leave out every step",
    });
  }
  return new Set(left);
}

export function unknownStep(runbook: Runbook, id: string, known: readonly string[]): UsageError {
  return new UsageError("E_STEP_UNKNOWN", `The runbook ${runbook.name} has no step "${id}"`, {
    hint: suggestion(id, known),
  });
}
