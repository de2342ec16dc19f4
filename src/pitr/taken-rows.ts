import type { Report } from "../run/operation.ts";
import type { MomentTable } from "./moment-table.ts";
import { differences } from "./row-merge.ts";
import { fieldStart, type RowText } from "./row-text.ts";
import type { TableName } from "./table-name.ts";
import { allRows, keyColumns, keyOrders, type RowSource, rowsByKey } from "./table-rows.ts";
import type { TableShape } from "./table-shape.ts";

/** Where rows of then are looked for now. */
export interface NowTable extends Omit<RowSource, "where"> {
  readonly shape: TableShape;
}

/** The wanted rows of then, as COPY takes them: every one, or those whose key is not there `now`. */
export async function* takenRows(
  then: MomentTable,
  columns: readonly string[],
  wish: {
    readonly table: TableName;
    readonly where: string | undefined;
    readonly key: readonly string[];
    readonly now: NowTable | undefined;
  },
  report: Report,
): AsyncGenerator<Buffer> {
  const { table, where, now } = wish;
  const { encoding } = then.shape;
  const source = { client: then.client, target: then.target, table, where, encoding };
  const counted = new CountedRows(report);
  if (now === undefined) {
    for await (const batch of allRows(source, columns)) yield counted.joined(batch);
    return;
  }
  const key = keyColumns(wish.key, then.shape, now.shape);
  const keysNow = rowsByKey({ ...now, where: undefined }, key, []);
  const found = differences(rowsByKey(source, key, columns), keysNow, keyOrders(key), {
    before: 0,
    after: 0,
  });
  let batch: RowText[] = [];
  let bytes = 0;
  for await (const each of found) {
    // Keys alone differ from whole rows: what is on both sides comes out as changed.
    if (each.kind !== "removed") continue;
    const row = each.before.subarray(fieldStart(each.before, key.length));
    batch.push(row);
    bytes += row.length;
    if (batch.length < batchRows && bytes < batchBytes) continue;
    yield counted.joined(batch);
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield counted.joined(batch);
}

/** Rows that are sent together: at most so many, and so many bytes. */
const batchRows = 100;
const batchBytes = 256 * 1024;

class CountedRows {
  private readonly report: Report;
  private done = 0;

  constructor(report: Report) {
    this.report = report;
  }

  joined(batch: readonly RowText[]): Buffer {
    this.done += batch.length;
    this.report.progress({ message: "taking rows back", done: this.done, unit: "rows" });
    return Buffer.concat(batch);
  }
}
