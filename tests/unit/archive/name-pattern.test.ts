import { describe, expect, it } from "vitest";
import { schemaPattern, tablePattern } from "../../../src/archive/name-pattern.ts";

const orders = { schema: "shop", name: "orders" };

describe("a pattern of names", () => {
  it.each([
    ["orders", orders, true],
    ["ORDERS", orders, true],
    ['"ORDERS"', orders, false],
    ["shop.orders", orders, true],
    ["public.orders", orders, false],
    ["shop.*", orders, true],
    ["*.ord?rs", orders, true],
    ["order", orders, false],
    ['shop."a.b*"', { schema: "shop", name: "a.b*" }, true],
    ['shop."a.b*"', { schema: "shop", name: "a.bc" }, false],
    ['"Größe; --"."Küche ""a"""', { schema: "Größe; --", name: 'Küche "a"' }, true],
    ["a+b", { schema: "x", name: "aab" }, false],
    ["", { schema: "x", name: "y" }, false],
  ])("%s against %j: %s", (pattern, name, matches) => {
    expect(tablePattern(pattern)(name)).toBe(matches);
  });

  it("of a schema is its whole name", () => {
    expect(schemaPattern("log_*")("log_2026")).toBe(true);
    expect(schemaPattern("log_*")("blog_2026")).toBe(false);
  });
});
