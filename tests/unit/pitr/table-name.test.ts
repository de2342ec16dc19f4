import { describe, expect, it } from "vitest";
import { parseTableName, shownName, sqlName } from "../../../src/pitr/table-name.ts";
import { checkWhereSyntax } from "../../../src/pitr/where-condition.ts";

describe("the name of a table", () => {
  it.each([
    ["orders", undefined, "orders"],
    ["Shop.Orders", "shop", "orders"],
    ['"Odd Name"."a.b""c"', "Odd Name", 'a.b"c'],
    ['shop."T"', "shop", "T"],
    ["küche", undefined, "küche"],
    ["Übersicht", undefined, "Übersicht"],
  ])("is read as SQL reads it: %s", (text, schema, name) => {
    expect(parseTableName(text)).toEqual({ schema, name });
  });

  it.each(["", "a.b.c", "a b", "1a", '"a', "a;drop", ".a", "a."])("is refused: %s", (text) => {
    expect(() => parseTableName(text)).toThrow("is not the name of a table");
  });

  it("is quoted for SQL, and for people where it must be", () => {
    const name = { schema: "shop", name: 'a"b' };
    expect(sqlName(name)).toBe('"shop"."a""b"');
    expect(shownName(name)).toBe('shop."a""b"');
  });
});

describe("a condition", () => {
  it.each(["id > 1", "a IN (SELECT b FROM c) -- all", "x = ';)'", "a) OR (b", undefined])(
    "is one: %s",
    async (where) => {
      await expect(checkWhereSyntax(where)).resolves.toBeUndefined();
    },
  );

  it.each([
    ["id >", /syntax error/],
    ["true) UNION SELECT (1", /more than one condition/],
    ["true); DROP TABLE x; SELECT (1", /more than one condition/],
    ["true) ORDER BY (1", /more than one condition/],
    ["true) LIMIT (1", /more than one condition/],
    ["id = = 2", /at character 6/],
  ])("is none: %s", async (where, why) => {
    await expect(checkWhereSyntax(where)).rejects.toMatchObject({
      code: "E_INPUT",
      exitCode: 2,
      message: expect.stringMatching(why),
    });
  });
});
