import type pg from "pg";
import { qualified, type TableName } from "./invalid-index.ts";
import { rangeOf } from "./statement-names.ts";
import { isRecord, nodeOf, type Statement } from "./statements.ts";

export interface Detachment {
  readonly table: TableName;
  readonly partition: TableName;
}

/** What an ALTER TABLE … DETACH PARTITION … CONCURRENTLY detaches; undefined for every other statement. */
export function concurrentDetachment(statement: Statement): Detachment | undefined {
  if (statement.kind !== "AlterTableStmt") return undefined;
  const { relation, cmds } = nodeOf(statement);
  // PostgreSQL allows no other command beside it.
  const [command]: unknown[] = Array.isArray(cmds) ? cmds : [];
  const inside = isRecord(command) && isRecord(command.AlterTableCmd) ? command.AlterTableCmd : {};
  const target = isRecord(inside.def) && isRecord(inside.def.PartitionCmd) ? inside.def.PartitionCmd : {};
  const table = rangeOf(relation);
  const partition = rangeOf(target.name);
  if (inside.subtype !== "AT_DetachPartition" || target.concurrent !== true) return undefined;
  return table === undefined || partition === undefined ? undefined : { table, partition };
}

/** How far a detachment is. It is done in two transactions; between them it is `pending`, and can only be finalized. */
export async function detachmentState(
  client: pg.ClientBase,
  { table, partition }: Detachment,
): Promise<"attached" | "pending" | "detached" | "unknown"> {
  // As JSON, because a server before PostgreSQL 14 has no such column.
  const { rows } = await client.query<{ there: boolean; pending: boolean | null }>(
    `SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AS there,
            (SELECT coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false) FROM pg_inherits AS i
              WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)) AS pending`,
    [qualified(table), qualified(partition)],
  );
  const [found] = rows;
  if (found?.there !== true) return "unknown";
  if (found.pending === null) return "detached";
  return found.pending ? "pending" : "attached";
}

/** SQL for the second half of a detachment that was interrupted. */
export function finalizeDetachment({ table, partition }: Detachment): string {
  return `ALTER TABLE ${qualified(table)} DETACH PARTITION ${qualified(partition)} FINALIZE`;
}
