import { describe, expect, test } from "vitest";
import { compareSchemas, isSameSchema, withoutParts } from "../../../src/postgres-schema/comparison.ts";
import type { DatabaseSchema, SchemaObject } from "../../../src/postgres-schema/schema-object.ts";
import { suggestStatements } from "../../../src/postgres-schema/suggestion.ts";
import { textDifference } from "../../../src/postgres-schema/text-difference.ts";

const schema = (...objects: SchemaObject[]): DatabaseSchema => ({ serverVersion: 150000, objects });
const table: SchemaObject = {
  kind: "table",
  identity: "public.a",
  definition: "CREATE TABLE public.a ( … );",
};
const dependsOn = ["table public.a"];
const column = (name: string, type: string, position: number): SchemaObject => ({
  kind: "column",
  identity: `public.a.${name}`,
  definition: `${name} ${type}`,
  dependsOn,
  position,
});
const index: SchemaObject = {
  kind: "index",
  identity: "public.i",
  definition: "CREATE INDEX i ON public.a USING btree (x);",
  dependsOn,
};
const owner: SchemaObject = {
  kind: "owner",
  identity: "TABLE public.a",
  definition: "ALTER TABLE public.a OWNER TO x;",
};

describe("comparing schemas", () => {
  test("tells what is added, removed and changed", () => {
    const before = schema(table, column("x", "integer", 1), index);
    const after = schema(table, column("x", "bigint", 1), column("y", "text", 2));
    expect(compareSchemas(before, after)).toEqual({
      added: [column("y", "text", 2)],
      removed: [index],
      changed: [{ kind: "column", identity: "public.a.x", before: "x integer", after: "x bigint" }],
      reordered: [],
    });
  });

  test("does not take a column that moved up because another is gone for another order", () => {
    const before = schema(table, column("x", "text", 1), column("y", "text", 2));
    expect(compareSchemas(before, schema(table, column("y", "text", 1))).reordered).toEqual([]);
  });

  test("can leave kinds of object out", () => {
    const difference = compareSchemas(schema(table), schema(table, owner), { ignoreKinds: ["owner"] });
    expect(isSameSchema(difference)).toBe(true);
  });

  test("a table stands for its parts", () => {
    expect(withoutParts([table, column("x", "text", 1), index])).toEqual([table]);
  });
});

describe("suggested statements", () => {
  test("make a whole table, and drop in the reverse order", () => {
    const from = schema(owner, { ...index, identity: "public.other", dependsOn: ["table public.b"] });
    const to = schema(table, column("x", "integer", 1), column("y", "text", 2), index);
    const [drop, ...rest] = suggestStatements(to, compareSchemas(from, to, { ignoreKinds: ["owner"] }));
    expect(drop).toBe("DROP INDEX public.other;");
    expect(rest).toEqual(["CREATE TABLE public.a (\n  x integer,\n  y text\n);", index.definition]);
  });

  test("add and drop columns, and leave the change of a type to a person", () => {
    const from = schema(table, column("x", "integer", 1), column("y", "text", 2));
    const to = schema(table, column("x", "bigint", 1), column("z", "text", 2));
    expect(suggestStatements(to, compareSchemas(from, to))).toEqual([
      "ALTER TABLE public.a DROP COLUMN y;",
      "-- by hand: change column public.a.x\n--   from: x integer\n--   to:   x bigint",
      "ALTER TABLE public.a ADD COLUMN z text;",
    ]);
  });
});

test("a difference of texts shows what changed with three lines around it", () => {
  const before = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
  const after = before.map((each) => (each === "e" ? "E" : each));
  expect(textDifference(before.join("\n"), after.join("\n"))).toEqual([
    "  b",
    "  c",
    "  d",
    "- e",
    "+ E",
    "  f",
    "  g",
    "  h",
    "  …",
  ]);
});
