import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type FieldOption, fieldOptions, fieldValue } from "../../../src/cli/field-option.ts";
import { duration, name, percentage, threshold } from "../../../src/core/schema.ts";

const input = z.strictObject({
  name: name("A name"),
  text: z.string().optional().describe("A text"),
  bake: duration("How long").prefault("10m"),
  share: percentage("How much").optional(),
  limit: threshold().optional(),
  count: z.int().default(3).describe("How many"),
  fast: z.boolean().default(false).describe("Fast"),
  mode: z.enum(["soft", "hard"]).default("soft").describe("The mode"),
  steps: z.array(percentage()).prefault(["10%", "50%"]).describe("The steps"),
  limits: z.strictObject({ a: threshold().optional() }).prefault({}).describe("Limits"),
  headers: z.record(z.string(), z.string()).default({}).describe("Headers"),
  version: z.union([z.string(), z.int()]).optional().describe("A version"),
  codes: z
    .union([z.int(), z.array(z.int())])
    .optional()
    .describe("Codes"),
});

const options = new Map(fieldOptions(input).map((each) => [each.key, each]));

function option(key: string): FieldOption {
  const found = options.get(key);
  if (found === undefined) throw new Error(`no field ${key}`);
  return found;
}

describe("a field as a flag", () => {
  it.each([
    ["name", "text", true, undefined],
    ["text", "text", false, undefined],
    ["bake", "text", false, "10m"],
    ["share", "text", false, undefined],
    ["limit", "text", false, undefined],
    ["count", "number", false, "3"],
    ["fast", "boolean", false, "false"],
    ["mode", "text", false, "soft"],
    ["steps", "list", false, "10%,50%"],
    ["limits", "mapping", false, ""],
    ["headers", "mapping", false, ""],
    ["version", "text", false, undefined],
    ["codes", "list", false, undefined],
  ])("%s is a %s", (key, kind, required, defaultValue) => {
    expect(option(key)).toMatchObject({ key, kind, required, defaultValue });
  });

  it("of a choice names the choices", () => {
    expect(option("mode").description).toBe("The mode (soft | hard)");
  });
});

describe("what was typed, as data", () => {
  it.each([
    ["text", "x", "x"],
    ["count", "5", 5],
    ["count", "five", "five"],
    ["count", "", ""],
    ["fast", true, true],
    ["steps", ["10%,50%,100%"], ["10%", "50%", "100%"]],
    ["steps", ["10%", "50%"], ["10%", "50%"]],
    ["steps", ["select a, b"], ["select a, b"]],
    ["limits", ["a=> 5%"], { a: "> 5%" }],
    ["headers", ["one=1", "two=a=b"], { one: "1", two: "a=b" }],
    ["text", undefined, undefined],
  ])("--%s %j is %j", (key, typed, expected) => {
    expect(fieldValue(option(key), typed)).toEqual(expected);
  });

  it("goes through the operation's own input", () => {
    const typed = { name: "x", bake: "5s", count: "4", steps: ["20%,100%"], limits: ["a=> 5%"], fast: true };
    const data = Object.fromEntries(
      Object.entries(typed).map(([key, value]) => [key, fieldValue(option(key), value)]),
    );

    expect(input.parse(data)).toMatchObject({ bake: 5000, count: 4, steps: [20, 100], fast: true });
  });

  it("of a mapping without = is refused", () => {
    expect(() => fieldValue(option("headers"), ["one"])).toThrow('--headers takes name=value, not "one"');
  });
});
