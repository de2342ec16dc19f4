import type { DatabaseTarget } from "../../config/environment.ts";
import { withConnection } from "../../postgres/connection.ts";
import type { OperationContext } from "../../run/context.ts";
import type { Migration } from "../migration-file.ts";
import type { Problem } from "../problem.ts";
import { identifier } from "./identifier.ts";
import { findKeyColumn, isProblem } from "./key-column.ts";
import { batchStatement } from "./statement.ts";

/**
 * Which backfills among the migrations of a plan do not fit the tables that are there. A table that an earlier
 * migration of the plan names may be another one by then: it is looked at when the backfill begins.
 */
export async function keyProblems(
  context: OperationContext,
  target: DatabaseTarget,
  planned: readonly Migration[],
): Promise<Problem[]> {
  const judged = planned.filter(({ settings: { batch } }, index) => {
    if (batch === undefined) return false;
    const table = identifier(batch.table);
    return !planned.slice(0, index).some((each) => each.up.sql.includes(table));
  });
  if (judged.length === 0) return [];
  const options = { signal: context.signal, applicationName: "ops migrate (plan)" };
  return withConnection(target, options, async (client) => {
    const problems: Problem[] = [];
    for (const { up } of judged) {
      if (up.settings.batch === undefined) continue;
      const found = await findKeyColumn(client, await batchStatement(up, up.settings.batch));
      if (isProblem(found)) problems.push(found);
    }
    return problems;
  });
}
