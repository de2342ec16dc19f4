import type pg from "pg";
import { type ExpectedLock, list } from "./plan-locked-relation.ts";
import { rangeOf } from "./statement-names.ts";
import { isRecord, nodeOf, type Statement } from "./statements.ts";
import { quotedName } from "./test/relation-name.ts";

/** A foreign key of the live database; tables are named as in `Relation`. */
export interface ForeignKey {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly references: string;
}

export async function readForeignKeys(client: pg.ClientBase): Promise<ForeignKey[]> {
  const { rows } = await client.query<{
    name: string;
    table: [string, string];
    columns: string[];
    references: [string, string];
  }>(`
    SELECT k.conname AS name, ARRAY[tn.nspname, t.relname]::text[] AS "table", ARRAY[rn.nspname, r.relname]::text[] AS "references",
           ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute
                  WHERE attrelid = k.conrelid AND attnum = ANY (k.conkey)) AS columns
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS t ON t.oid = k.conrelid
      JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
      JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid
      JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
     WHERE k.contype = 'f'`);
  return rows.map(({ table, references, ...key }) => ({
    ...key,
    table: quotedName(...table),
    references: quotedName(...references),
  }));
}

/**
 * A foreign key goes with its triggers, which are on both tables: the one that the statement does not name is locked, too.
 *
 * @param named what is locked by its name
 */
export function droppedKeyLocks(
  statement: Statement,
  named: readonly string[],
  keys: readonly ForeignKey[],
): ExpectedLock[] {
  const others = keys.flatMap((key) => {
    if (statement.kind === "DropStmt") {
      if (named.includes(key.table)) return [key.references];
      return named.includes(key.references) ? [key.table] : [];
    }
    return alteredAway(statement, key) ? [key.references] : [];
  });
  return [...new Set(others)].flatMap((relation) =>
    named.includes(relation) ? [] : [{ relation, mode: "ACCESS EXCLUSIVE" as const }],
  );
}

function alteredAway(statement: Statement, key: ForeignKey): boolean {
  const { relation, cmds } = nodeOf(statement);
  const table = rangeOf(relation);
  if (statement.kind !== "AlterTableStmt" || table === undefined) return false;
  if (quotedName(table.schema, table.name) !== key.table) return false;
  return list(cmds).some((each) => {
    const command = isRecord(each) && isRecord(each.AlterTableCmd) ? each.AlterTableCmd : {};
    const name = String(command.name);
    return (
      (command.subtype === "AT_DropConstraint" && name === key.name) ||
      (command.subtype === "AT_DropColumn" && key.columns.includes(name))
    );
  });
}
