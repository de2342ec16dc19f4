import pg from "pg";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation, type Report, type UndoResult } from "../run/operation.ts";
import { requireWritable } from "./extract-rows.ts";
import { type ExtractWish, takeBack } from "./extract-work.ts";
import { isCommitted, type Mark, markOf } from "./marked-commit.ts";
import { planTable, tableFields, withMomentTable } from "./moment-table.ts";
import { keepingValues } from "./row-errors.ts";
import { parseTableName, sameTable, shownName, sqlName, type TableName } from "./table-name.ts";
import { tableExists, tableGone } from "./table-refusals.ts";
import { readShape } from "./table-shape.ts";
import { takeOut } from "./taken-out.ts";
import { requireTriggerChoice, type TriggerChoice } from "./trigger-choice.ts";

const input = z.strictObject({
  ...tableFields,
  into: z
    .string()
    .min(1)
    .describe(
      "The table that is made with the rows; with --missing also the table itself: rows are put back",
    ),
  missing: z.boolean().default(false).describe("Only rows whose key is no longer in the table"),
  triggers: z
    .enum(["fire", "skip"])
    .optional()
    .describe("What the table's own triggers do when rows are put back into it; asked for where it has any"),
});

/**
 * Guarantee: the live database is changed by one transaction, and nothing but the new table, or the rows that come
 * back, is in it. Killed at any moment, a resumed run finds out whether it committed, and does it once.
 */
export const extract = defineOperation({
  name: "pitr.extract",
  summary: "Take one table, or the rows that are missing from it, back from a moment into the database",
  example: "pitr extract --table orders --to-time 2026-11-21T14:31:59Z --into orders_restored",
  effect: "change",
  input,
  output: z.object({
    database: z.string(),
    table: z.string(),
    into: z.string(),
    moment: z.string(),
    base: z.string().describe("The base backup that it was restored from"),
    rows: z.number().describe("That are in the new table, or were put back"),
    skipped: z.number().describe("Rows to put back whose key was there again"),
    notes: z.array(z.string()),
    durationMs: z.number().describe("Of the attempt that finished it"),
  }),
  targets: (input, environment) => [`database:${environment.database(input.database).name}`],

  async observe(context, input) {
    const planned = await planTable(context, input, "then");
    const into = parseTableName(input.into);
    const place = { schema: into.schema ?? planned.schema, name: into.name };
    const putsBack = input.missing && sameTable(place, planned);
    if (input.missing && !planned.isThere) throw tableGone(planned, planned.moment);
    const live = context.environment.database(input.database);
    if (putsBack) await requireFit(live, planned, input.triggers, context.signal);
    else await requireRoom(live, place, context.signal);
    return { ...planned, into: place, putsBack };
  },

  plan({ database, moment, into, putsBack, ...table }, input) {
    const where = input.where === undefined ? "" : ` where ${input.where}`;
    const rows = input.missing ? "rows that are missing from" : "rows of";
    const what = `${rows} ${shownName(table)}${where}, as of ${moment}`;
    return [
      {
        target: `database:${database}`,
        action: putsBack ? ("update" as const) : ("create" as const),
        summary: putsBack ? `put back the ${what}` : `make the table ${shownName(into)} with the ${what}`,
      },
    ];
  },

  notes: ({ base, basedOn, doubts }) => [
    ...doubts,
    `a temporary cluster is restored from base backup ${base} (${basedOn}) and removed afterwards`,
  ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const live = context.environment.database(input.database);
    const mark = await interruptible(context, async (signal) => {
      const settled = await committedMark(context, live, report, signal);
      if (settled !== undefined) return settled;
      const wish: ExtractWish = { live, table: before, into: before.into, putsBack: before.putsBack, input };
      return withMomentTable(context, input, before, report, signal, (then) =>
        takeBack(then, wish, report, signal),
      );
    });
    return {
      database: before.database,
      table: shownName(before),
      into: shownName(before.into),
      moment: before.moment,
      base: before.base,
      rows: mark.rows,
      skipped: mark.skipped,
      notes: mark.notes,
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  async undo(context, input, before, report) {
    const live = context.environment.database(input.database);
    const mark = await committedMark(context, live, report, context.signal);
    if (mark === undefined) return { undone: true, note: "nothing was changed" };
    return withConnection(live, { signal: context.signal }, (client) =>
      keepingValues(async () => {
        await client.query("BEGIN");
        await client.query("SET LOCAL lock_timeout = '10s'");
        const result = before.putsBack
          ? await withoutRows(client, before, mark, input.triggers ?? "fire")
          : await withoutTable(client, before.into, mark);
        await client.query("COMMIT");
        return result;
      }),
    );
  },

  render: ({ table, into, moment, rows, skipped, notes, durationMs }) =>
    [
      table === into
        ? `${rows} rows of ${table} are back as they were at ${moment}, in ${formatDuration(durationMs)}`
        : `${into} has ${rows} rows of ${table} as of ${moment}, in ${formatDuration(durationMs)}`,
      ...(skipped === 0 ? [] : [`${skipped} rows were there again: they stay as they are`]),
      ...notes,
    ].join("\n"),
});

/** What an earlier attempt has committed; undefined where it came to nothing. */
async function committedMark(
  context: OperationContext,
  live: DatabaseTarget,
  report: Report,
  signal: AbortSignal,
): Promise<Mark | undefined> {
  const mark = markOf(report.last);
  if (mark === undefined) return undefined;
  const isDone = await withConnection(live, { signal }, (client) =>
    isCommitted(client, mark, context, signal),
  );
  return isDone ? mark : undefined;
}

/** Throws `E_TABLE_EXISTS` where something has that name, `E_INPUT` where there is no such schema, or not for us. */
async function requireRoom(live: DatabaseTarget, into: TableName, signal: AbortSignal): Promise<void> {
  await withConnection(live, { signal }, async (client) => {
    const { rows } = await client.query<{ schema: boolean; taken: boolean; may: boolean; role: string }>(
      `SELECT to_regnamespace($1) IS NOT NULL AS schema, to_regclass($2) IS NOT NULL AS taken,
              has_schema_privilege(to_regnamespace($1), 'CREATE') AS may, quote_ident(current_user) AS role`,
      [pg.escapeIdentifier(into.schema), sqlName(into)],
    );
    if (rows[0]?.schema !== true) {
      throw new UsageError("E_INPUT", `There is no schema "${into.schema}" for ${shownName(into)}`, {
        hint: "name one that is there: --into schema.name",
      });
    }
    const [{ taken, may, role }] = rows;
    if (taken) throw tableExists(into);
    if (!may) throw mayNot(role, `make ${shownName(into)}`, `CREATE ON SCHEMA ${into.schema}`);
  });
}

/** Throws `E_INPUT` where rows cannot, or may not, be put back into the table, or its triggers ask for a decision. */
async function requireFit(
  live: DatabaseTarget,
  table: TableName & { readonly moment: string },
  triggers: TriggerChoice | undefined,
  signal: AbortSignal,
): Promise<void> {
  await withConnection(live, { signal }, async (client) => {
    await client.query("BEGIN READ ONLY");
    const now = await readShape(client, table);
    if (now === undefined) throw tableGone(table, table.moment);
    requireWritable(now);
    requireTriggerChoice(now, triggers);
    const { rows } = await client.query<{ rows: boolean; staging: boolean; role: string; catalog: string }>(
      `SELECT has_any_column_privilege($1::text::oid, 'SELECT') AND has_any_column_privilege($1::text::oid, 'INSERT') AS rows,
              has_database_privilege(current_database(), 'TEMPORARY') AS staging,
              quote_ident(current_user) AS role, quote_ident(current_database()) AS catalog`,
      [now.oid],
    );
    const [found] = rows;
    if (found === undefined) return;
    const what = `put rows into ${shownName(table)}`;
    if (!found.rows) throw mayNot(found.role, what, `SELECT, INSERT ON ${sqlName(table)}`);
    if (!found.staging) throw mayNot(found.role, what, `TEMPORARY ON DATABASE ${found.catalog}`);
  });
}

/** Said before a restore that may take hours. */
function mayNot(role: string, what: string, grant: string): UsageError {
  return new UsageError("E_INPUT", `The user ${role} may not ${what}`, { hint: `GRANT ${grant} TO ${role}` });
}

/** The table itself, also where somebody has put another one in its place. */
async function withoutTable(client: pg.Client, into: TableName, { oid }: Mark): Promise<UndoResult> {
  const { rows } = await client.query<{ name: string | null; same: boolean }>(
    "SELECT to_regclass($1)::oid::text = $2 AS same, (SELECT oid::regclass::text FROM pg_class WHERE oid = $2::text::oid) AS name",
    [sqlName(into), oid],
  );
  const [found] = rows;
  if (found?.same === true) {
    await client.query(`DROP TABLE ${sqlName(into)}`);
    return { undone: true, note: `${shownName(into)} is dropped` };
  }
  if (found?.name == null) return { undone: true, note: "the table that was made is gone already" };
  return { undone: "kept", note: `the table that was made is called ${found.name} now: it stays` };
}

async function withoutRows(
  client: pg.Client,
  table: TableName,
  { transaction, rows }: Mark,
  triggers: "fire" | "skip",
): Promise<UndoResult> {
  const now = await readShape(client, table);
  if (now === undefined) return { undone: true, note: `${shownName(table)} is gone` };
  const taken = await takeOut(client, now, transaction, triggers);
  if ("why" in taken) return { undone: false, note: taken.why };
  const removed = taken.rows;
  const left = rows - removed;
  const rest = left === 0 ? "" : `; ${left} were changed or deleted since and are left as they are`;
  return { undone: true, note: `${removed} rows that were put back are removed again${rest}` };
}
