import pg from "pg";
import { UsageError } from "../core/errors.ts";
import { shownName } from "./table-name.ts";
import type { TableShape } from "./table-shape.ts";

export type TriggerChoice = "fire" | "skip";

/** Throws `E_INPUT` unless it is said what triggers are to do. */
export function requireTriggerChoice(now: TableShape, choice: TriggerChoice | undefined): void {
  if (now.triggers.length === 0 || choice !== undefined) return;
  throw new UsageError(
    "E_INPUT",
    `${shownName(now.name)} has triggers that fire for new rows: ${now.triggers.join(", ")}`,
    { hint: "say what they are to do when rows come back: --triggers skip or --triggers fire" },
  );
}

/**
 * To disable one locks its table against writers until the transaction ends; a rollback brings them back. Those of
 * partitions are disabled one by one: each has a state of its own.
 */
export async function withTriggers<T>(
  client: pg.Client,
  { oid }: TableShape,
  choice: TriggerChoice,
  work: () => Promise<T>,
): Promise<T> {
  const { rows } = await client.query<{ table: string; name: string; isAlways: boolean }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS table, tgname AS name, tgenabled = 'A' AS "isAlways"
       FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE (c.oid = $1::text::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::oid)))
        AND NOT tgisinternal AND tgenabled IN ('O', 'A')`,
    [oid],
  );
  const skipped = choice === "skip" ? rows : [];
  for (const { table, name } of skipped) {
    await client.query(`ALTER TABLE ONLY ${table} DISABLE TRIGGER ${pg.escapeIdentifier(name)}`);
  }
  const result = await work();
  for (const { table, name, isAlways } of skipped) {
    const enable = isAlways ? "ENABLE ALWAYS" : "ENABLE";
    await client.query(`ALTER TABLE ONLY ${table} ${enable} TRIGGER ${pg.escapeIdentifier(name)}`);
  }
  return result;
}
