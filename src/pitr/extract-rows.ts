import { randomBytes } from "node:crypto";
import pg from "pg";
import { OpsError, UsageError } from "../core/errors.ts";
import { copyIn } from "../postgres/copy.ts";
import { lateSequences } from "./late-sequences.ts";
import { shownName, sqlName } from "./table-name.ts";
import { copyFormat } from "./table-rows.ts";
import { releaseRowSession, type TableShape } from "./table-shape.ts";
import { numberOfRows } from "./taken-out.ts";
import { type TriggerChoice, withTriggers } from "./trigger-choice.ts";

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

/**
 * Puts rows back whose key is not there, within the caller's transaction: by way of a temporary table, so that the
 * table itself is written to in one statement. Every constraint holds as for every INSERT; only a row whose key has come
 * again is left out.
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
): Promise<{ readonly rows: number; readonly skipped: number; readonly notes: readonly string[] }> {
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
  await requireOwnNumber(client, now);
  const isArbitrated = await isUnique(client, now, wish.key);
  // Nothing else keeps two that put back at the same time from doing it twice.
  if (!isArbitrated) {
    const lock = "SELECT pg_advisory_xact_lock(hashtextextended('ops pitr extract', $1::text::oid::bigint))";
    await client.query(lock, [now.oid]);
  }
  const arbiter = isArbitrated
    ? ` ON CONFLICT (${wish.key.map(pg.escapeIdentifier).join(", ")}) DO NOTHING`
    : "";
  const same = wish.key
    .map((each) => `l.${pg.escapeIdentifier(each)} = s.${pg.escapeIdentifier(each)}`)
    .join(" AND ");
  await releaseRowSession(client);
  const inserted = await withTriggers(client, now, wish.triggers, async () => {
    const { rowCount } = await client.query(
      `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM pg_temp.${staged} s
        WHERE NOT EXISTS (SELECT FROM ${table} l WHERE ${same})${arbiter}`,
    );
    return rowCount ?? 0;
  });
  const notes = await lateSequences(client, now.name, wish.columns, `pg_temp.${staged}`);
  return { rows: inserted, skipped: taken - inserted, notes };
}

/** Whether a unique index of exactly these columns can tell that a row has come again while we look. */
async function isUnique(client: pg.Client, { oid }: TableShape, key: readonly string[]): Promise<boolean> {
  const { rows } = await client.query<{ yes: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_index x
        WHERE x.indrelid = $1::text::oid AND x.indisunique AND x.indisvalid AND x.indimmediate
          AND x.indpred IS NULL AND x.indexprs IS NULL
          AND (SELECT array_agg(a.attname::text COLLATE "C" ORDER BY a.attname::text COLLATE "C")
                 FROM unnest(x.indkey::int2[]) WITH ORDINALITY u(number, place)
                 JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                WHERE u.place <= x.indnkeyatts)
            = (SELECT array_agg(k COLLATE "C" ORDER BY k COLLATE "C") FROM unnest($2::text[]) k)) AS yes`,
    [oid, key],
  );
  return rows[0]?.yes === true;
}

/**
 * A row keeps 32 bits of its transaction's number. Where numbers have come round, rows of long ago may bear the one of
 * ours, and an undo would remove them: then another number is taken. Throws `E_DATABASE_CHANGED`.
 */
async function requireOwnNumber(client: pg.Client, { name }: TableShape): Promise<void> {
  const { rows } = await client.query<{ transaction: string }>(
    "SELECT pg_current_xact_id()::text AS transaction",
  );
  const transaction = BigInt(rows[0]?.transaction ?? 0);
  if (transaction < 1n << 32n) return;
  const found = await client.query(`SELECT FROM ${sqlName(name)} WHERE xmin = $1::text::xid LIMIT 1`, [
    numberOfRows(transaction),
  ]);
  if (found.rowCount === 0) return;
  throw new OpsError(
    "E_DATABASE_CHANGED",
    `${shownName(name)} has old rows with the number of this transaction: an undo could not tell them apart`,
    { hint: "another attempt has another number: ops runs resume" },
  );
}
