import type { TableName } from "./invalid-index.ts";
import { isRecord } from "./statements.ts";

/** What a RangeVar of libpg-query's tree names: a table, a view, an index. */
export function rangeOf(value: unknown): TableName | undefined {
  const { schemaname, relname } = isRecord(value) ? value : {};
  if (typeof relname !== "string") return undefined;
  return { schema: typeof schemaname === "string" ? schemaname : undefined, name: relname };
}
