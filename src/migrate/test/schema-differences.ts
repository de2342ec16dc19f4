import { compareSchemas, isSameSchema, withoutParts } from "../../postgres-schema/comparison.ts";
import type { DatabaseSchema } from "../../postgres-schema/schema-object.ts";

/**
 * One line for each object that is not as it was; empty where the schemas are equal. The order of a table's columns
 * does not count: a column that is dropped and added again stands last, and no way down can help that.
 */
export function schemaDifferences(before: DatabaseSchema, after: DatabaseSchema): string[] {
  const difference = compareSchemas(before, after);
  if (isSameSchema(difference)) return [];
  return [
    ...withoutParts(difference.removed).map((each) => `${each.kind} ${each.identity} is gone`),
    ...withoutParts(difference.added).map((each) => `${each.kind} ${each.identity} is left over`),
    ...difference.changed.map(
      (each) => `${each.kind} ${each.identity} is ${oneLine(each.after)} instead of ${oneLine(each.before)}`,
    ),
  ];
}

const shownLength = 120;

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= shownLength ? line : `${line.slice(0, shownLength - 1)}…`;
}
