import { UsageError } from "../core/errors.ts";
import { fieldStart, type RowText, valueBytes } from "./row-text.ts";

/** How the values of a key's column are ordered, the same way here as on the server. */
export type KeyOrder = "integer" | "bytes";

/** A row of one side whose key the other one lacks, or two rows with the same key and different values. */
export type Difference =
  | { readonly kind: "removed"; readonly before: RowText }
  | { readonly kind: "added"; readonly after: RowText }
  | { readonly kind: "changed"; readonly before: RowText; readonly after: RowText };

export interface MergeCounts {
  before: number;
  after: number;
}

/**
 * Goes through two streams of rows in the order of their keys, which are the first fields of each row, and tells the
 * rows that are not in both. Memory is constant. Throws `E_INPUT` where a key is there twice.
 */
export async function* differences(
  then: AsyncIterable<readonly RowText[]>,
  now: AsyncIterable<readonly RowText[]>,
  orders: readonly KeyOrder[],
  counts: MergeCounts,
): AsyncGenerator<Difference> {
  const left = new KeyedRows(then, orders);
  const right = new KeyedRows(now, orders);
  try {
    let before = await left.next();
    let after = await right.next();
    while (before !== undefined || after !== undefined) {
      const order = before === undefined ? 1 : after === undefined ? -1 : compareKeys(before.key, after.key);
      if (order <= 0) counts.before += 1;
      if (order >= 0) counts.after += 1;
      if (order < 0 && before !== undefined) yield { kind: "removed", before: before.row };
      else if (order > 0 && after !== undefined) yield { kind: "added", after: after.row };
      else if (before !== undefined && after !== undefined && !before.row.equals(after.row)) {
        yield { kind: "changed", before: before.row, after: after.row };
      }
      if (order <= 0) before = left.pending() ?? (await left.next());
      if (order >= 0) after = right.pending() ?? (await right.next());
    }
  } finally {
    await left.close();
    await right.close();
  }
}

type KeyPart = bigint | number | Buffer | undefined;

interface KeyedRow {
  readonly key: readonly KeyPart[];
  readonly row: RowText;
}

class KeyedRows {
  private readonly source: AsyncIterator<readonly RowText[]>;
  private readonly orders: readonly KeyOrder[];
  private batch: readonly RowText[] = [];
  private at = 0;
  private last: KeyedRow | undefined;

  constructor(source: AsyncIterable<readonly RowText[]>, orders: readonly KeyOrder[]) {
    this.source = source[Symbol.asyncIterator]();
    this.orders = orders;
  }

  /** The next row where it is here already: waiting costs more than looking. */
  pending(): KeyedRow | undefined {
    const row = this.batch[this.at];
    if (row === undefined) return undefined;
    this.at += 1;
    const found = { key: keyOf(row, this.orders), row };
    if (this.last !== undefined) requireAscending(this.last.key, found.key);
    this.last = found;
    return found;
  }

  async next(): Promise<KeyedRow | undefined> {
    while (this.at >= this.batch.length) {
      const { value, done } = await this.source.next();
      if (done === true) return undefined;
      this.batch = value;
      this.at = 0;
    }
    return this.pending();
  }

  async close(): Promise<void> {
    await this.source.return?.();
  }
}

function keyOf(row: RowText, orders: readonly KeyOrder[]): KeyPart[] {
  const key: KeyPart[] = [];
  let from = 0;
  for (const order of orders) {
    const to = from + fieldStart(row.subarray(from), 1) - 1;
    const value = valueBytes(row, from, to);
    key.push(value === undefined || order === "bytes" ? value : integerOf(value));
    from = to + 1;
  }
  return key;
}

function integerOf(value: Buffer): bigint | number {
  const text = value.toString("latin1");
  return text.length < 16 ? Number(text) : BigInt(text);
}

/** NULL is the last one, as on the server. */
function compareKeys(a: readonly KeyPart[], b: readonly KeyPart[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (left === undefined || right === undefined) {
      if (left === right) continue;
      return left === undefined ? 1 : -1;
    }
    const order =
      Buffer.isBuffer(left) && Buffer.isBuffer(right)
        ? Buffer.compare(left, right)
        : left < right
          ? -1
          : left > right
            ? 1
            : 0;
    if (order !== 0) return order;
  }
  return 0;
}

function requireAscending(before: readonly KeyPart[], after: readonly KeyPart[]): void {
  const order = compareKeys(before, after);
  if (order < 0) return;
  if (order === 0) {
    throw new UsageError("E_INPUT", "Two rows have the same key: rows cannot be told apart by it", {
      hint: "name columns that are unique together: --key a,b",
    });
  }
  throw new Error("the server sent rows in another order than that of their keys");
}
