import { describe, expect, test } from "vitest";
import { describeFlag } from "../../../src/flag/shown.ts";
import type { Rule } from "../../../src/flag-source/definition.ts";

const staff: Rule = { in: ["@example.com", { var: "email" }] };
const share = (on: number): Rule => ({
  fractional: [
    ["on", on],
    ["off", 100 - on],
  ],
});

describe("a flag in one line", () => {
  test.each([
    ["a share alone", share(10), "on at 10%"],
    ["a rule, and a share of the others", { if: [staff, "on", share(50)] }, "rest on for 50%"],
    ["a rule, and nobody else", { if: [staff, "on", "off"] }, "rest off"],
    ["a rule, and a rule for the others", { if: [staff, "on", { cat: ["on"] }] }, 'rest {"cat":["on"]}'],
  ])("with %s", (_, targeting, last) => {
    const line = describeFlag({
      state: "ENABLED",
      variants: { on: true, off: false },
      defaultVariant: "off",
      targeting,
    });
    expect(line.split(", ").at(-1)).toBe(last);
  });
});
