import { UsageError } from "../core/errors.ts";
import type { RunRequest } from "../run/events.ts";
import { type OperationCatalog, parseRunbook } from "./parse.ts";
import { type Runbook, singleOperation, steps } from "./runbook.ts";

/** The runbook of a run as it was when the run began, from the journal. */
export async function runbookOf(request: RunRequest, catalog: OperationCatalog): Promise<Runbook> {
  if (request.kind === "runbook") return parseRunbook(request.file ?? request.name, request.text, catalog);
  const parsed = await parseRunbook(request.name, request.text, catalog);
  const [step] = steps(parsed);
  if (step === undefined)
    throw new UsageError("E_RUNBOOK", `The journaled operation ${request.name} has no step`);
  return singleOperation(step.operation, step.with as Parameters<typeof singleOperation>[1]);
}
