import type pg from "pg";
import { sqlName } from "./table-name.ts";
import { releaseRowSession, type TableShape } from "./table-shape.ts";
import { type TriggerChoice, withTriggers } from "./trigger-choice.ts";

/** Of a transaction's 64 bits, what its rows keep. */
export const numberOfRows = (transaction: bigint) => String(BigInt.asUintN(32, transaction));

/** How many rows were taken out, or why none was. */
export type TakenOut = { readonly rows: number } | { readonly why: string };

/**
 * Takes the rows out again that a transaction has put in and that nobody has changed since: a row remembers the
 * transaction that wrote it. None where so many have run since that their numbers have come round, and none where rows of
 * others refer to one of them: they would go with it, or keep it.
 */
export async function takeOut(
  client: pg.Client,
  now: TableShape,
  transaction: string,
  triggers: TriggerChoice,
): Promise<TakenOut> {
  const { rows } = await client.query<{ isYoung: boolean }>(
    `SELECT pg_current_xact_id()::text::numeric - $1::numeric < 2000000000 AS "isYoung"`,
    [transaction],
  );
  if (rows[0]?.isYoung !== true)
    return { why: "too many transactions have run since to tell which rows were put back" };
  const number = numberOfRows(BigInt(transaction));
  const referring = await referringTable(client, now, number);
  if (referring !== undefined)
    return { why: `rows of ${referring} refer to rows that were put back: remove those first, or keep them` };
  await releaseRowSession(client);
  return withTriggers(client, now, triggers, async () => {
    const sql = `DELETE FROM ${sqlName(now.name)} WHERE xmin = $1::text::xid`;
    const { rowCount } = await client.query(sql, [number]);
    return { rows: rowCount ?? 0 };
  });
}

/** A table with rows that point at rows of the transaction, and that did not come with them. */
async function referringTable(
  client: pg.Client,
  { name, oid }: TableShape,
  number: string,
): Promise<string | undefined> {
  const { rows } = await client.query<{ table: string; same: string }>(
    `SELECT c.conrelid::regclass::text AS table,
            (SELECT string_agg(format('l.%I = r.%I', a.attname, b.attname), ' AND ')
               FROM unnest(c.confkey, c.conkey) u(target, source)
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = u.target
               JOIN pg_attribute b ON b.attrelid = c.conrelid AND b.attnum = u.source) AS same
       FROM pg_constraint c
      WHERE c.contype = 'f' AND c.confrelid = $1::text::oid
        -- What a partition has of its parent's constraint says the same.
        AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)`,
    [oid],
  );
  for (const { table, same } of rows) {
    const { rowCount } = await client.query(
      `SELECT FROM ${sqlName(name)} l JOIN ${table} r ON ${same}
        WHERE l.xmin = $1::text::xid AND r.xmin <> $1::text::xid LIMIT 1`,
      [number],
    );
    if (rowCount !== 0) return table;
  }
  return undefined;
}
