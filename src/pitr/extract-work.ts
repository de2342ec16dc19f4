import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { Report } from "../run/operation.ts";
import { broughtColumns, columnNotes, putBack, requireWritable } from "./extract-rows.ts";
import { makeTable } from "./extract-table.ts";
import { commitMarked, type Mark } from "./marked-commit.ts";
import type { MomentTable } from "./moment-table.ts";
import { keepingValues } from "./row-errors.ts";
import type { TableName } from "./table-name.ts";
import { tableGone } from "./table-refusals.ts";
import { keyColumns } from "./table-rows.ts";
import { prepareRowSession, readShape, type TableShape } from "./table-shape.ts";
import { type NowTable, takenRows } from "./taken-rows.ts";
import { requireTriggerChoice, type TriggerChoice } from "./trigger-choice.ts";

export interface ExtractWish {
  readonly live: DatabaseTarget;
  readonly table: TableName & { readonly moment: string };
  readonly into: TableName;
  /** Into the table itself. */
  readonly putsBack: boolean;
  readonly input: {
    readonly where?: string | undefined;
    readonly key: readonly string[];
    readonly missing: boolean;
    readonly triggers?: TriggerChoice | undefined;
  };
}

/** The one transaction in the live database. The rows pass through; memory is constant. */
export async function takeBack(
  then: MomentTable,
  wish: ExtractWish,
  report: Report,
  signal: AbortSignal,
): Promise<Mark> {
  const { live } = wish;
  return withConnection(live, { signal }, (writer) =>
    keepingValues(() => written(writer, then, wish, report, signal)),
  );
}

async function written(
  writer: pg.Client,
  then: MomentTable,
  wish: ExtractWish,
  report: Report,
  signal: AbortSignal,
): Promise<Mark> {
  const { live, table, into } = wish;
  await writer.query("BEGIN");
  const now = await readShape(writer, table);
  await prepareRowSession(writer, into.schema);
  if (!wish.input.missing) {
    const rows = takenRows(then, namesOf(then.shape), wanted(wish, undefined), report);
    const made = await makeTable(writer, into, then.shape, now?.owner ?? then.shape.owner, rows);
    return commitMarked(writer, { ...made, skipped: 0, notes: [...made.notes] }, report);
  }
  if (now === undefined) throw tableGone(table, table.moment);
  return withConnection(live, { signal }, (reader) =>
    keepingValues(() => writtenBeside(reader, writer, then, wish, now, report)),
  );
}

/** What is missing, as `reader` finds the live table. */
async function writtenBeside(
  reader: pg.Client,
  writer: pg.Client,
  then: MomentTable,
  wish: ExtractWish,
  now: TableShape,
  report: Report,
): Promise<Mark> {
  const { into } = wish;
  const { shape } = then;
  const source = await readerOf(reader, wish, then);
  if (!wish.putsBack) {
    const rows = takenRows(then, namesOf(shape), wanted(wish, source), report);
    const made = await makeTable(writer, into, shape, now.owner, rows);
    return commitMarked(writer, { ...made, skipped: 0, notes: [...made.notes] }, report);
  }
  requireWritable(now);
  requireTriggerChoice(now, wish.input.triggers);
  const columns = broughtColumns(shape, now);
  const done = await putBack(
    writer,
    now,
    {
      columns,
      key: keyColumns(wish.input.key, shape, now).map((each) => each.name),
      triggers: wish.input.triggers ?? "fire",
      encoding: shape.encoding,
    },
    takenRows(then, columns, wanted(wish, source), report),
  );
  return commitMarked(
    writer,
    { ...done, oid: null, notes: [...columnNotes(shape, now), ...done.notes] },
    report,
  );
}

function wanted({ table, input }: ExtractWish, now: NowTable | undefined) {
  return { table, where: input.where, key: input.key, now };
}

const namesOf = ({ columns }: TableShape) => columns.map((each) => each.name);

async function readerOf(
  client: pg.Client,
  { live, table }: ExtractWish,
  then: MomentTable,
): Promise<NowTable> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  const shape = await readShape(client, table);
  if (shape === undefined) throw tableGone(table, table.moment);
  await prepareRowSession(client, table.schema);
  return { client, target: live, table, encoding: then.shape.encoding, shape };
}
