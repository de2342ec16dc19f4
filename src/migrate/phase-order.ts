import { OpsError } from "../core/errors.ts";
import type { Migration } from "./migration-file.ts";
import { type TouchedNames, touchedNames } from "./phase-names.ts";
import type { Problem } from "./problem.ts";
import { splitStatements } from "./statements.ts";

/**
 * Why expand migrations cannot run before contract migrations that stand in front of them: they need what one of those
 * makes, or make anew what one of those must remove first.
 *
 * @param pending all that are not applied, in the order of their versions
 * @param chosen those that are to run now
 */
export async function phaseOrderProblems(
  pending: readonly Migration[],
  chosen: readonly Migration[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const passed: { readonly migration: Migration; readonly names: TouchedNames }[] = [];
  for (const migration of pending) {
    if (!chosen.includes(migration)) {
      if (migration.settings.phase === "contract")
        passed.push({ migration, names: await namesIn(migration) });
      continue;
    }
    if (passed.length === 0) continue;
    const own = await namesIn(migration);
    for (const { migration: contract, names } of passed) {
      const needed = [...own.used].find((name) => names.made.has(name));
      const taken = [...own.made].find((name) => names.removed.has(name));
      if (needed === undefined && taken === undefined) continue;
      problems.push({
        kind: "phase-order",
        message:
          needed === undefined
            ? `${migration.up.name} makes ${taken}, which ${contract.up.name} (contract, not applied) removes first`
            : `${migration.up.name} needs ${needed}, which ${contract.up.name} (contract, not applied) makes`,
        hint: "run the contract phase first, or put what is needed into an expand migration",
      });
    }
  }
  return problems;
}

/** None where the parser cannot read the file: the run will say why. */
async function namesIn({ up }: Migration): Promise<TouchedNames> {
  try {
    return touchedNames(await splitStatements(up.sql, { file: up.name }));
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return touchedNames([]);
  }
}
