import { hash } from "node:crypto";
import type { Environment } from "../config/environment.ts";
import { InterruptedError, OpsError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import type { Operation } from "../run/operation.ts";
import type { Execution } from "./execution.ts";
import type { Step } from "./runbook.ts";

/** PostgreSQL cuts longer names (MAXFNAMELEN - 1). */
const longestName = 63;

/** Databases of which a restore point is wanted before the operation changes them: those with an archive. */
export function guardedDatabases(
  operation: Operation,
  input: Record<string, unknown>,
  environment: Environment,
): string[] {
  if (operation.effect !== "destroy" && operation.restorePoint !== true) return [];
  const names = (operation.targets?.(input, environment) ?? [])
    .filter((each) => each.startsWith("database:"))
    .map((each) => each.slice("database:".length));
  const known = environment.names("databases");
  return [...new Set(names)].filter(
    (each) => known.includes(each) && environment.database(each).pitr?.restorePoints === "require",
  );
}

export interface PlannedPoints {
  /** Databases that get one. */
  readonly databases: readonly string[];
  /** Why others get none. */
  readonly notes: readonly string[];
}

/** Asks the servers; changes nothing. Throws `E_RESTORE_POINT` where a point could not be made. */
export async function planRestorePoints(
  operation: Operation,
  input: Record<string, unknown>,
  context: OperationContext,
): Promise<PlannedPoints> {
  const databases: string[] = [];
  const notes: string[] = [];
  for (const database of guardedDatabases(operation, input, context.environment)) {
    const maker = await context.restorePoints();
    if (await maker.isArchived(context, database)) databases.push(database);
    else notes.push(`no restore point of ${database}: its cluster does not archive its WAL`);
  }
  return { databases, notes };
}

/**
 * Right before the step's effect begins; each is journaled. An attempt after a crash makes only what is missing.
 * Throws `E_RESTORE_POINT` before anything is changed.
 */
export async function makeRestorePoints(
  execution: Execution,
  step: Step,
  input: Record<string, unknown>,
  context: OperationContext,
): Promise<void> {
  const { id, operation } = step;
  const known = execution.step(id);
  if (known?.applied === true || known?.changes.length === 0) return;
  if (execution.state.request.withoutRestorePoints === true) return;
  const name = restorePointName(execution.state.id, id);
  const made = new Set(known?.restorePoints?.map((each) => each.database));
  for (const database of guardedDatabases(operation, input, context.environment)) {
    if (made.has(database)) continue;
    try {
      const maker = await context.restorePoints();
      if (!(await maker.isArchived(context, database))) continue;
      const point = await maker.make(context, database, name, execution.report(id));
      await execution.append({ type: "step.restore-point", step: id, data: point });
    } catch (error) {
      if (context.signal.aborted || error instanceof InterruptedError || isOfJournal(error)) throw error;
      throw noPoint(execution, step, database, error);
    }
  }
}

/** The same for every attempt: `before-20261121-094512-k3x9-schema`. */
export function restorePointName(run: string, step: string): string {
  const name = `before-${run}-${step}`;
  if (name.length <= longestName) return name;
  const end = `-${hash("sha256", name, "hex").slice(0, 8)}`;
  return `${name.slice(0, longestName - end.length)}${end}`;
}

function noPoint(execution: Execution, step: Step, database: string, error: unknown): OpsError {
  if (error instanceof OpsError && error.code === "E_RESTORE_POINT") return error;
  return new OpsError(
    "E_RESTORE_POINT",
    `Step ${step.id} was not begun: no restore point of ${database} could be made before it`,
    {
      cause: error,
      hint:
        `mend that, then: ops runs resume ${execution.state.id}; ` +
        "to go on without one, add --no-restore-point (docs/pitr.md)",
      retryable: !(error instanceof OpsError) || error.retryable,
    },
  );
}

function isOfJournal(error: unknown): boolean {
  return error instanceof OpsError && (error.code === "E_LOCK_LOST" || error.code === "E_JOURNAL");
}
