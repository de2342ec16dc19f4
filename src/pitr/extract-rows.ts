import { randomBytes } from "node:crypto";
import pg from "pg";
import { UsageError } from "../core/errors.ts";
import { copyIn } from "../postgres/copy.ts";
import { shownName, sqlName } from "./table-name.ts";
import { copyFormat } from "./table-rows.ts";
import type { TableShape } from "./table-shape.ts";

export type TriggerChoice = "fire" | "skip";

/** Columns that rows of then bring with them: what is there now and not computed. */
export function broughtColumns(then: TableShape, now: TableShape): string[] {
  return then.columns
    .map((each) => each.name)
    .filter((name) => now.columns.some((each) => each.name === name && !each.isGenerated));
}

/** What a person should know of the columns that have changed since. */
export function columnNotes(then: TableShape, now: TableShape): string[] {
  const lost = then.columns.filter((each) => !now.columns.some((other) => other.name === each.name));
  const fresh = now.columns.filter((each) => !then.columns.some((other) => other.name === each.name));
  return [
    ...lost.map((each) => `column ${each.name} is gone: its values are not put back`),
    ...fresh.map((each) => `column ${each.name} is new: rows that are put back get its default`),
  ];
}

/** Throws `E_INPUT` for what is no table, and for a parent: rows of its children would come back in it. */
export function requireWritable({ name, kind, hasChildren }: TableShape): void {
  if (kind === "p" || (kind === "r" && !hasChildren)) return;
  const why = kind === "r" ? "it has child tables" : "it is no table that rows are written to";
  throw new UsageError("E_INPUT", `Rows cannot be put back into ${shownName(name)}: ${why}`, {
    hint: "take them into a table of their own: --into NAME",
  });
}

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
 * Puts rows back whose key is not there, within the caller's transaction: by way of a temporary table, so that the
 * table itself is written to in one statement. Foreign keys and checks hold as for every INSERT.
 */
export async function putBack(
  client: pg.Client,
  now: TableShape,
  wish: {
    readonly columns: readonly string[];
    readonly key: readonly string[];
    readonly triggers: TriggerChoice;
    readonly encoding: string;
  },
  rows: AsyncIterable<Uint8Array>,
): Promise<{ readonly rows: number; readonly skipped: number }> {
  const table = sqlName(now.name);
  const staged = pg.escapeIdentifier(`ops_rows_${randomBytes(6).toString("hex")}`);
  const columns = wish.columns.map(pg.escapeIdentifier).join(", ");
  await client.query(
    `CREATE TEMP TABLE ${staged} ON COMMIT DROP AS SELECT ${columns} FROM ${table} WITH NO DATA`,
  );
  const taken = await copyIn(
    client,
    `COPY pg_temp.${staged} (${columns}) FROM STDIN ${copyFormat(wish.encoding)}`,
    rows,
  );
  const same = wish.key
    .map((each) => `l.${pg.escapeIdentifier(each)} = s.${pg.escapeIdentifier(each)}`)
    .join(" AND ");
  const inserted = await withTriggers(client, now, wish.triggers, async () => {
    const { rowCount } = await client.query(
      `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM pg_temp.${staged} s
        WHERE NOT EXISTS (SELECT FROM ${table} l WHERE ${same}) ON CONFLICT DO NOTHING`,
    );
    return rowCount ?? 0;
  });
  return { rows: inserted, skipped: taken - inserted };
}

/**
 * Takes the rows out again that a transaction has put in and that nobody has changed since: a row remembers the
 * transaction that wrote it. Undefined where so many have run since that their numbers have come round.
 */
export async function takeOut(
  client: pg.Client,
  now: TableShape,
  transaction: string,
  triggers: TriggerChoice,
): Promise<number | undefined> {
  const { rows } = await client.query<{ isYoung: boolean }>(
    `SELECT pg_current_xact_id()::text::numeric - $1::numeric < 2000000000 AS "isYoung"`,
    [transaction],
  );
  if (rows[0]?.isYoung !== true) return undefined;
  const xid = String(BigInt.asUintN(32, BigInt(transaction)));
  return withTriggers(client, now, triggers, async () => {
    const { rowCount } = await client.query(`DELETE FROM ${sqlName(now.name)} WHERE xmin = $1::text::xid`, [
      xid,
    ]);
    return rowCount ?? 0;
  });
}

/** To disable one locks the table against writers until the transaction ends; a rollback brings them back. */
async function withTriggers<T>(
  client: pg.Client,
  now: TableShape,
  choice: TriggerChoice,
  work: () => Promise<T>,
): Promise<T> {
  const table = sqlName(now.name);
  const { rows } = await client.query<{ name: string; isAlways: boolean }>(
    `SELECT tgname AS name, tgenabled = 'A' AS "isAlways" FROM pg_trigger
      WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')`,
    [table],
  );
  const skipped = choice === "skip" ? rows : [];
  for (const { name } of skipped) {
    await client.query(`ALTER TABLE ${table} DISABLE TRIGGER ${pg.escapeIdentifier(name)}`);
  }
  const result = await work();
  for (const { name, isAlways } of skipped) {
    const enable = isAlways ? "ENABLE ALWAYS" : "ENABLE";
    await client.query(`ALTER TABLE ${table} ${enable} TRIGGER ${pg.escapeIdentifier(name)}`);
  }
  return result;
}
