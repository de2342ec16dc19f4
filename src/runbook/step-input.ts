import { UsageError } from "../core/errors.ts";
import type { Scope } from "./expression.ts";
import { describeIssues } from "./issues.ts";
import type { Step } from "./runbook.ts";
import { renderAll } from "./template.ts";

/** The step's `with:` with its expressions evaluated, checked by its operation. Throws `E_STEP_INPUT`. */
export function readInput(step: Step, scope: Scope): Record<string, unknown> {
  const raw = renderAll(step.with, scope);
  const result = step.operation.input.safeParse(raw, { reportInput: true });
  if (result.success) return result.data;
  throw new UsageError(
    "E_STEP_INPUT",
    `Step ${step.id} cannot use its input: ${describeIssues(result.error)}`,
  );
}
