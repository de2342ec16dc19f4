import { describe, expect, test } from "vitest";
import { operations } from "../../../src/flag/operations.ts";
import type { Operation } from "../../../src/run/operation.ts";

const set: Operation = (() => {
  const found = operations.find((each) => each.name === "flag.set");
  if (found === undefined) throw new Error("there is no flag.set");
  return found;
})();

const row = (settings: { enabled: boolean; rollout: number; description?: string }) => ({
  description: null,
  updatedAt: "2026-01-01T00:00:00.000000Z",
  updatedBy: "ann",
  ...settings,
});

describe("flag.set plans", () => {
  test.each([
    [null, { rollout: "10%" }, ["create flag f: on at 10%"]],
    [null, { state: "on" }, ["create flag f: on at 100%"]],
    [null, { description: "why" }, ["create flag f: off (rollout 100%)"]],
    [null, { state: "off", rollout: "10%" }, ["create flag f: off (rollout 10%)"]],
    [
      row({ enabled: false, rollout: 100 }),
      { rollout: "10%" },
      ["set flag f from off (rollout 100%) to on at 10%"],
    ],
    [
      row({ enabled: true, rollout: 10 }),
      { state: "off" },
      ["set flag f from on at 10% to off (rollout 10%)"],
    ],
    [
      row({ enabled: false, rollout: 10 }),
      { state: "on" },
      ["set flag f from off (rollout 10%) to on at 10%"],
    ],
    [row({ enabled: true, rollout: 10 }), { rollout: "50%" }, ["set flag f from on at 10% to on at 50%"]],
    [row({ enabled: true, rollout: 10 }), { description: "why" }, ["change the description of flag f"]],
    [row({ enabled: true, rollout: 10 }), { rollout: "10%" }, []],
    [row({ enabled: true, rollout: 10, description: "why" }), { state: "on", description: "why" }, []],
  ])("from %j with %j: %j", (before, input, summaries) => {
    const changes = set.plan(before, set.input.parse({ flag: "f", ...input }));
    expect(changes.map((each) => each.summary)).toEqual(summaries);
  });

  test("the row's old and new settings, and nothing volatile", () => {
    const [change] = set.plan(
      row({ enabled: false, rollout: 100 }),
      set.input.parse({ flag: "f", rollout: "10%" }),
    );
    expect(change).toEqual({
      target: "flag:f",
      action: "update",
      summary: "set flag f from off (rollout 100%) to on at 10%",
      from: { enabled: false, rollout: 100, description: null },
      to: { enabled: true, rollout: 10, description: null },
    });
  });
});

test.each([
  [{ flag: "f", rollout: "10" }, '"10" is not a percentage between 0% and 100%'],
  [{ flag: "f", rollout: "101%" }, '"101%" is not a percentage between 0% and 100%'],
  [{ flag: "f", rollout: "0.125%" }, "must have at most two decimals"],
  [
    { flag: "a b", state: "on" },
    "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
  ],
])("%j is refused: %s", (input, message) => {
  expect(set.input.safeParse(input).error?.issues[0]?.message).toBe(message);
});
