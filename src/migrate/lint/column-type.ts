import type { Column, LiveDatabase } from "./live-database.ts";
import { child, children, has, type Node, names } from "./node.ts";

/** Types whose length or precision may grow without a look at the values; char(n) and bit(n) pad theirs. */
const growing =
  /^(character varying|bit varying|timestamp|time|interval)(\(\d+\))?( with(out)? time zone)?(\[\])?$/;

/** The most that a timestamp can have, and what it has where nothing is said. */
const fullPrecision = 6;

/** Whether the server writes every row anew for `ALTER COLUMN … TYPE`, as ATColumnChangeRequiresRewrite decides it. */
export async function rewritesForType(
  database: LiveDatabase,
  column: Column,
  columnName: string,
  definition: Node,
): Promise<boolean> {
  const typeName = child(definition, "typeName", "TypeName");
  if (has(definition, "raw_default") && !isColumn(child(definition, "raw_default"), columnName)) return true;
  const change = await database.typeChange(column.typeOid, written(typeName));
  if (change === undefined || !change.sameStorage) return true;
  const lengths = children(typeName, "typmods", "A_Const").map((each) =>
    Number(child(each, "ival").ival ?? 0),
  );
  if (lengths.length === 0) return column.type.startsWith("character(") && change.oid === column.typeOid;
  if (change.oid !== column.typeOid) return true;
  return !fits(column.type, lengths);
}

function fits(oldType: string, lengths: readonly number[]): boolean {
  const old = (/\(([\d,-]+)\)/.exec(oldType)?.[1] ?? "").split(",").filter(Boolean).map(Number);
  const [size = 0, scale = 0] = lengths;
  const [oldSize, oldScale = 0] = old;
  if (oldType.startsWith("numeric")) return oldSize !== undefined && scale === oldScale && size >= oldSize;
  if (growing.test(oldType)) {
    return (
      size >=
      (oldSize ?? (oldType.startsWith("character") || oldType.startsWith("bit") ? Infinity : fullPrecision))
    );
  }
  return lengths.length === old.length && lengths.every((each, index) => each === old[index]);
}

/** `"pg_catalog"."int8"[]`, for to_regtype. */
function written(typeName: Node): string {
  const quoted = names(typeName, "names").map((each) => `"${each.replaceAll('"', '""')}"`);
  return `${quoted.join(".")}${has(typeName, "arrayBounds") ? "[]" : ""}`;
}

/** USING column, or USING column::type. */
function isColumn(expression: Node, columnName: string): boolean {
  const inside = child(child(expression, "TypeCast"), "arg");
  const reference = child("ColumnRef" in expression ? expression : inside, "ColumnRef");
  return names(reference, "fields").at(-1) === columnName;
}
