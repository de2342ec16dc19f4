import { describe, expect, test } from "vitest";
import { percent } from "../../../src/core/percent.ts";
import { operations } from "../../../src/flag/operations.ts";
import { rampPlan } from "../../../src/flag/ramp-steps.ts";
import type { FlagDefinition } from "../../../src/flag-source/definition.ts";
import { simpleFlag } from "../../../src/flag-source/simple-flag.ts";
import type { Operation } from "../../../src/run/operation.ts";

const set: Operation = (() => {
  const found = operations.find((each) => each.name === "flag.set");
  if (found === undefined) throw new Error("there is no flag.set");
  return found;
})();

const row = ({
  enabled,
  rollout,
  description,
}: {
  enabled: boolean;
  rollout: number;
  description?: string;
}) => simpleFlag({ enabled, rollout, description: description ?? null });

const seen = (definition: ReturnType<typeof row> | null) => ({
  definition,
  at: "2026-01-01T00:00:00.000Z",
  actor: "ann",
});

describe("flag.set plans", () => {
  test.each([
    [null, { rollout: "10%" }, undefined, "on at 10%"],
    [null, { state: "on" }, undefined, "on at 100%"],
    [null, { description: "why" }, undefined, 'off (rollout 100%), "why"'],
    [null, { state: "off", rollout: "10%" }, undefined, "off (rollout 10%)"],
    [row({ enabled: false, rollout: 100 }), { rollout: "10%" }, "off (rollout 100%)", "on at 10%"],
    [row({ enabled: true, rollout: 10 }), { state: "off" }, "on at 10%", "off (rollout 10%)"],
    [row({ enabled: false, rollout: 10 }), { state: "on" }, "off (rollout 10%)", "on at 10%"],
    [row({ enabled: true, rollout: 10 }), { rollout: "50%" }, "on at 10%", "on at 50%"],
    [row({ enabled: true, rollout: 10 }), { description: "why" }, "on at 10%", 'on at 10%, "why"'],
  ])("from %j with %j: %s → %s", (before, input, from, to) => {
    const [change] = set.plan(seen(before), set.input.parse({ flag: "f", ...input }));
    expect(change).toEqual({
      target: "flag:f",
      ...(from === undefined
        ? { action: "create", summary: "create flag f" }
        : { action: "update", summary: "set flag f", from }),
      to,
    });
  });

  test.each([
    [row({ enabled: true, rollout: 10 }), { rollout: "10%" }],
    [row({ enabled: true, rollout: 10, description: "why" }), { state: "on", description: "why" }],
  ])("nothing from %j with %j", (before, input) => {
    expect(set.plan(seen(before), set.input.parse({ flag: "f", ...input }))).toEqual([]);
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

describe("a ramp of one of several variants takes none from anybody", () => {
  const blue = (rest: string | object): FlagDefinition => ({
    state: "ENABLED",
    variants: { green: "g", blue: "b", red: "r" },
    defaultVariant: typeof rest === "string" ? rest : "green",
    ...(typeof rest === "object" && { targeting: { fractional: rest as [] } }),
    metadata: { "off-variant": "green" },
  });
  const plan = (rest: string | object) =>
    rampPlan(seen(blue(rest)), { flag: "f", to: "blue", steps: [10, 50, 100].map(percent) }).steps.map(
      ({ share }) => share,
    );
  const shares = (...weights: [string, number][]) => weights;

  test.each([
    ["green", [10, 50, 100]],
    ["blue", [100]],
    [shares(["blue", 30], ["green", 70]), [50, 100]],
    [shares(["blue", 0], ["green", 100]), [10, 50, 100]],
  ])("from %j: %j", (rest, steps) => {
    expect(plan(rest)).toEqual(steps);
  });

  test.each([
    ["red", "red to 100%"],
    [shares(["blue", 30], ["red", 70]), "red to 70%"],
    [shares(["green", 70], ["blue", 30]), "green to 70%"],
  ])("from %j: refused", (rest, taken) => {
    expect(() => plan(rest)).toThrow(`Flag f gives ${taken}: a ramp of blue would take it from them`);
  });
});

describe("a day that there is not", () => {
  test.each(["spring 1", "2027-02-30", "2027-13-01", "1", "2027-01-31 or so"])("%s is refused", (expires) => {
    expect(() => set.input.parse({ flag: "f", expires })).toThrow("must be a date: 2027-01-31, or never");
    const schedule = operations.find((each) => each.name === "flag.schedule");
    const at = `${expires}T09:00:00Z`;
    expect(schedule?.input.safeParse({ flag: "f", at, rollout: "10%" }).success).toBe(false);
  });

  test.each(["2027-01-31", "2028-02-29", "2027-01-31T09:00:00+01:00", "never"])("%s is taken", (expires) => {
    expect(set.input.safeParse({ flag: "f", expires }).success).toBe(true);
  });
});
