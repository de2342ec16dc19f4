import { describe, expect, test } from "vitest";
import { operations } from "../../../src/flag/operations.ts";
import { describeFlag, shown } from "../../../src/flag/shown.ts";
import type { Rule } from "../../../src/flag-source/definition.ts";
import { simpleFlag } from "../../../src/flag-source/simple-flag.ts";

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

test("what somebody wrote into a flag cannot steer the terminal of who looks at it", () => {
  const evil = "\u001b[2J\r\u009b31m\nflag payments is on";
  const definition = {
    ...simpleFlag({ enabled: true, rollout: 10, description: evil }),
    metadata: { owner: evil },
  };
  const change = { at: "now", actor: evil, run: null, operation: "flag.set", reason: evil, subject: "flag" };
  const finding = { severity: "error", subject: "flag", name: evil, rule: "name", message: evil, hint: evil };
  const about = { ...shown("f", definition), updatedAt: null, updatedBy: null };
  const outputs = {
    "flag.get": { ...about, rules: [evil], ramp: null },
    "flag.list": { flags: [about], unreadable: [evil] },
    "flag.history": { changes: [{ ...change, name: "f", before: null, after: definition }] },
    "flag.lint": { flags: 1, errors: 1, warnings: 0, strict: false, findings: [finding] },
    "flag.diff": { differences: [{ subject: "flag", name: evil, here: null, there: definition }] },
  };
  for (const [name, output] of Object.entries(outputs)) {
    const text = operations.find((each) => each.name === name)?.render?.(output) ?? "";
    expect(text, name).toContain("\\u{1b}[2J");
    expect(text.replaceAll("\n", ""), name).not.toMatch(/\p{Cc}/u);
  }
  expect(describeFlag(definition)).not.toMatch(/\p{Cc}/u);
});
