import { expect, test } from "vitest";
import { type Servable, servable, shownMistake } from "../../../src/flag/servable.ts";
import type { FlagDefinition, Rule } from "../../../src/flag-source/definition.ts";
import { Evaluator } from "../../../src/flag-source/evaluator.ts";
import { emptySet, type FlagSet, setOf } from "../../../src/flag-source/flag-set.ts";
import { killed, turnedOff } from "../../../src/flag-source/off.ts";
import { booleanFlag } from "../../../src/flag-source/simple-flag.ts";

const isPro: Rule = { "==": [{ var: "plan" }, "pro"] };
const withRule = (targeting: FlagDefinition["targeting"]): FlagDefinition => ({
  ...booleanFlag(0, {}),
  targeting,
});
const usesBeta = withRule({ if: [{ $ref: "beta" }, "on"] });
const wrong = withRule({ if: [isPro, "green"] });
const kill = (definition: FlagDefinition) => killed(definition, { at: "2026-01-01T00:00:00Z", by: "ann" });
const storedAs = (flags: Record<string, FlagDefinition>, $evaluators: Record<string, Rule> = {}): FlagSet =>
  setOf({ flags, $evaluators });
const before = servable(
  storedAs({ f: booleanFlag(100, {}), g: booleanFlag(100, {}), user: usesBeta }, { beta: isPro }),
  emptySet,
).set;

/** What a user of the plan "pro" gets of each flag. */
function given({ set }: Servable, ...names: string[]): unknown[] {
  const evaluator = new Evaluator(set);
  return names.map((name) => evaluator.evaluate(name, { plan: "pro" }).value);
}
const told = (served: Servable) => served.mistakes.map(shownMistake);

test("a flag with a mistake is served as it was, or not at all, and the kill of another one counts", () => {
  const stored = storedAs({ f: kill(booleanFlag(100, {})), g: wrong, fresh: wrong });
  const served = servable(stored, before);
  expect(given(served, "f", "g", "fresh")).toEqual([false, true, undefined]);
  expect(told(served)).toEqual([
    'flag g has a rule that gives "green", which is none of its variants; it is served as it was before',
    'flag fresh has a rule that gives "green", which is none of its variants; it is answered with an error',
  ]);
  const unreadable = servable({ ...storedAs({}), unreadable: new Map([["g", { state: 1 }]]) }, before);
  expect(given(unreadable, "g", "f")).toEqual([true, undefined]);
});

test("a killed flag is off, whatever is wrong with it or with what it remembers", () => {
  const mixed = { ...booleanFlag(100, {}), variants: { on: true, off: false, third: "x" } };
  const byHand = { ...kill(booleanFlag(100, {})), defaultVariant: "on", targeting: { if: [isPro, "on"] } };
  const stored = storedAs({ f: kill(mixed), g: byHand, user: kill(usesBeta), off: turnedOff(wrong) });
  expect(given(servable(stored, before), "f", "g", "user", "off")).toEqual([false, false, false, false]);
});

test("a segment with a mistake, or that is gone, stays as it was for those who use it, and for no other flag", () => {
  const flags = { f: kill(booleanFlag(100, {})), user: usesBeta };
  for (const segments of [{ beta: { is: 1 } }, {}] as Record<string, Rule>[]) {
    const served = servable(storedAs(flags, segments), before);
    expect(given(served, "f", "user")).toEqual([false, true]);
    expect(told(served).join()).toContain("served as it was before");
    expect(given(servable(storedAs(flags, segments), emptySet), "f", "user")).toEqual([false, undefined]);
  }
});
