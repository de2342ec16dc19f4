import { UsageError } from "../../core/errors.ts";
import { formatBytes } from "../../core/size.ts";
import { parseThreshold } from "../../core/threshold.ts";
import type { LiveTable } from "./live-database.ts";

/** From where on a table is big: either is enough. */
export interface BigTable {
  readonly bytes: number;
  readonly rows: number;
}

/** `1GiB`, `500MB`. Throws `E_INPUT`. */
export function parseSize(text: string): number {
  const size = /^\d/.test(text) ? parseThreshold(`>= ${text}`) : undefined;
  if (size?.unit === "bytes") return size.value;
  throw new UsageError("E_INPUT", `"${text}" is not a size`, { hint: "write it as 1GiB or 500MB" });
}

export function isBig(table: LiveTable, limit: BigTable): boolean {
  return table.bytes >= limit.bytes || (table.rows ?? 0) >= limit.rows;
}

/** `orders (12 GiB, about 3,000,000 rows)` */
export function describeTable({ name, bytes, rows }: LiveTable): string {
  const count = rows === undefined ? "never analyzed" : `about ${Math.round(rows).toLocaleString("en")} rows`;
  return `${name} (${formatBytes(bytes)}, ${count})`;
}
