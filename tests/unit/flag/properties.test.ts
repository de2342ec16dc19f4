import type { EvaluationContext } from "@openfeature/core";
import { FlagdCore } from "@openfeature/flagd-core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layersOf, withLayers } from "../../../src/flag/layers.ts";
import { withRollout } from "../../../src/flag/rollout.ts";
import {
  type FlagDefinition,
  type Scalar,
  sameJson,
  type Variants,
} from "../../../src/flag-source/definition.ts";
import { Evaluator } from "../../../src/flag-source/evaluator.ts";
import {
  documentOf,
  emptySet,
  type FlagSet,
  withEvaluator,
  withFlag,
} from "../../../src/flag-source/flag-set.ts";
import { findings } from "../../../src/flag-source/lint.ts";
import { beforeKill, killed, turnedOff } from "../../../src/flag-source/off.ts";
import { prerequisiteRule, withPrerequisites } from "../../../src/flag-source/prerequisites.ts";
import { booleanFlag } from "../../../src/flag-source/simple-flag.ts";
import { beta, context, definition, rule } from "../../support/flag-arbitrary.ts";

const now = new Date("2026-06-01T00:00:00Z");
const setOf = (...flags: [string, FlagDefinition][]): FlagSet =>
  withPrerequisites(
    flags.reduce((set, [name, each]) => withFlag(set, name, each), withEvaluator(emptySet, "beta", beta)),
  );

describe("evaluating", () => {
  test("gives for 10,000 random contexts what flagd-core gives in a process of an application", () => {
    const flags = fc
      .sample(definition, { numRuns: 100, seed: 7 })
      .map((each, index): [string, FlagDefinition] => [`flag-${index}`, each]);
    const set = setOf(...flags);
    const evaluator = new Evaluator(set);
    const core = new FlagdCore();
    core.setConfigurations(JSON.stringify(documentOf(set)));
    const answers = new Set<unknown>();
    for (const [index, asked] of fc.sample(context, { numRuns: 10_000, seed: 7 }).entries()) {
      const [name = ""] = flags[index % flags.length] ?? [];
      const theirs = core.resolveBooleanEvaluation(name, true, asked as EvaluationContext);
      const ours = evaluator.evaluate(name, asked);
      expect(ours.value ?? true, `${name} for ${JSON.stringify(asked)}`).toBe(theirs.value);
      expect([ours.variant, ours.reason]).toEqual([theirs.variant, theirs.reason]);
      answers.add(`${ours.variant} ${ours.reason}`);
    }
    expect(answers.size).toBeGreaterThanOrEqual(5);
  });

  test("throws for no rule and no context, however wrong they are", () => {
    const odd = fc.record({
      state: fc.constantFrom("ENABLED" as const, "DISABLED" as const),
      variants: fc.dictionary(fc.string(), fc.jsonValue()),
      defaultVariant: fc.string(),
      targeting: fc.dictionary(
        fc.constantFrom("if", "var", "fractional", "sem_ver", "x", "$ref"),
        fc.jsonValue(),
      ),
    });
    fc.assert(
      fc.property(odd, fc.dictionary(fc.string(), fc.jsonValue()), (broken, asked) => {
        const set = setOf(["f", broken as FlagDefinition]);
        expect(() => new Evaluator(set).evaluate("f", asked as never)).not.toThrow();
        expect(() => findings(set)).not.toThrow();
      }),
      { numRuns: 300 },
    );
    const given = setOf(["f", { ...booleanFlag(0, {}), targeting: { if: [true, { var: "plan" }, "off"] } }]);
    expect(new Evaluator(given).evaluate("f", { plan: { toString: 1 } })).toMatchObject({
      value: undefined,
      errorCode: "GENERAL",
    });
  });

  test("sees a flag that was changed, added and taken away since it was loaded", () => {
    const evaluator = new Evaluator(setOf(["a", booleanFlag(0, {})], ["b", booleanFlag(0, {})]));
    expect(evaluator.evaluate("a", {}).value).toBe(false);
    evaluator.load(setOf(["a", booleanFlag(100, {})], ["c", booleanFlag(100, {})]));
    expect(evaluator.evaluate("a", {}).value).toBe(true);
    expect(evaluator.evaluate("b", {})).toMatchObject({ value: undefined, errorCode: "FLAG_NOT_FOUND" });
    expect(evaluator.evaluate("c", {}).value).toBe(true);
  });
});

describe("a kill", () => {
  test("wins over every rule for everybody, and what was there comes back exactly", () => {
    fc.assert(
      fc.property(
        definition,
        fc.boolean(),
        fc.array(context, { minLength: 5, maxLength: 5 }),
        (each, isOff, asked) => {
          const before = isOff ? turnedOff(each) : each;
          const after = killed(before, { at: now.toISOString(), by: "ann", reason: "a test" });
          const evaluator = new Evaluator(setOf(["f", after]));
          for (const one of asked)
            expect(evaluator.evaluate("f", one)).toMatchObject({ value: false, reason: "STATIC" });
          expect(JSON.stringify(beforeKill(after))).toBe(JSON.stringify(before));
          expect(killed(after, { at: "later", by: "bob" })).toBe(after);
          expect(findings(setOf(["f", after])).filter((found) => found.severity === "error")).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("of a killed flag takes back whatever somebody has brought into it by hand", () => {
    const tampering = fc.record<Partial<FlagDefinition>>(
      {
        state: fc.constantFrom("ENABLED", "DISABLED"),
        variants: fc.constantFrom<Variants>({ on: true, off: true }, { on: true }, { x: "a", y: 1 }),
        defaultVariant: fc.constantFrom("on", "x", null),
        targeting: rule.map((each) => each as Exclude<FlagDefinition["targeting"], undefined>),
        metadata: fc.constantFrom<Record<string, Scalar>>(
          { "off-variant": "on" },
          { "killed-at": false },
          { off: "{}" },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(definition, tampering, context, (each, { metadata, ...changes }, asked) => {
        const dead = killed(each, { at: now.toISOString(), by: "ann" });
        const byHand = { ...dead, ...changes, metadata: { ...dead.metadata, ...metadata } };
        const again = killed(byHand, { at: "later", by: "bob" });
        const evaluator = new Evaluator(setOf(["f", again]));
        expect(evaluator.evaluate("f", asked)).toMatchObject({ value: false, reason: "STATIC" });
        expect(again.metadata?.["killed-by"]).toBe("ann");
        expect(beforeKill(again)).toEqual(each);
        const { variants, defaultVariant, state, targeting } = byHand;
        const isTampered = !sameJson(
          { variants, defaultVariant, state, targeting },
          { ...dead, metadata: undefined },
        );
        const isFound = findings(setOf(["f", byHand])).some((found) => found.severity === "error");
        expect(isFound || !isTampered, JSON.stringify(byHand)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test("wins over metadata that only looks like that of a kill", () => {
    for (const value of [false, true, 0, 1, "", "yes", "{}"]) {
      const before: FlagDefinition = { ...booleanFlag(100, {}), metadata: { owner: "shop", killed: value } };
      const after = killed(before, { at: now.toISOString(), by: "ann" });
      expect(new Evaluator(setOf(["f", after])).evaluate("f", { targetingKey: "1" })).toMatchObject({
        value: false,
        reason: "STATIC",
      });
    }
  });
});

describe("a rollout", () => {
  test("that grows keeps every one of 10,000 users, and has its share of them", () => {
    const users = Array.from({ length: 10_000 }, (_, n) => `user-${n}`);
    let before = new Set<string>();
    for (const percent of [0, 0.25, 1, 10, 12.5, 33.33, 50, 99.99, 100]) {
      const flag = withRollout("ramp", booleanFlag(5, {}), { percent, now });
      const evaluator = new Evaluator(setOf(["ramp", flag]));
      const on = new Set(
        users.filter((user) => evaluator.evaluate("ramp", { targetingKey: user }).value === true),
      );
      expect([...before].filter((user) => !on.has(user))).toEqual([]);
      expect(Math.abs(on.size / users.length - percent / 100)).toBeLessThan(0.015);
      before = on;
    }
    expect(before.size).toBe(users.length);
  });

  test("of one flag says nothing about another", () => {
    const users = Array.from({ length: 10_000 }, (_, n) => `user-${n}`);
    const evaluator = new Evaluator(setOf(["a", booleanFlag(50, {})], ["b", booleanFlag(50, {})]));
    const has = (flag: string, user: string) =>
      evaluator.evaluate(flag, { targetingKey: user }).value === true;
    const both = users.filter((user) => has("a", user) && has("b", user)).length;
    expect(both / users.length).toBeGreaterThan(0.23);
    expect(both / users.length).toBeLessThan(0.27);
  });
});

describe("the layers of a flag", () => {
  test("taken apart and put together mean the same for everybody", () => {
    fc.assert(
      fc.property(definition, fc.array(context, { minLength: 10, maxLength: 10 }), (each, asked) => {
        const again = withLayers(each, layersOf(each));
        const [one, other] = [each, again].map((known) => new Evaluator(setOf(["f", known])));
        for (const context of asked) {
          expect(other?.evaluate("f", context).variant).toBe(one?.evaluate("f", context).variant);
        }
        expect(layersOf(again)).toEqual(layersOf(each));
      }),
      { numRuns: 200 },
    );
  });
});

describe("a prerequisite", () => {
  test("is met for exactly those who have the other flag", () => {
    fc.assert(
      fc.property(
        definition,
        definition,
        fc.array(context, { minLength: 10, maxLength: 10 }),
        (needed, other, asked) => {
          // The one that needs another, which needs a third.
          const middle = withLayers(
            { ...needed, state: "ENABLED" },
            { ...layersOf(needed), needs: ["other"] },
          );
          const top = withLayers(booleanFlag(100, {}), {
            ...layersOf(booleanFlag(100, {})),
            needs: ["middle"],
          });
          const set = setOf(["top", top], ["middle", middle], ["other", other]);
          expect(set.evaluators.has("flag:middle")).toBe(true);
          const evaluator = new Evaluator(set);
          for (const context of asked) {
            const has = (name: string) => evaluator.evaluate(name, context).value === true;
            expect(has("top"), JSON.stringify(context)).toBe(has("middle"));
            if (!has("other")) expect(has("middle")).toBe(false);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("that is killed turns off who needs it; a circle is refused", () => {
    const needs = (name: string): FlagDefinition =>
      withLayers(booleanFlag(100, {}), { ...layersOf(booleanFlag(100, {})), needs: [name] });
    const dead = killed(booleanFlag(100, {}), { at: now.toISOString(), by: "ann" });
    expect(new Evaluator(setOf(["a", needs("b")], ["b", dead])).evaluate("a", {}).value).toBe(false);
    expect(findings(setOf(["a", needs("b")], ["b", needs("a")]))).toContainEqual(
      expect.objectContaining({ rule: "prerequisite-circle", message: "asks for itself: a → b → a" }),
    );
    expect(findings(setOf(["a", needs("gone")]))).toContainEqual(
      expect.objectContaining({ rule: "reference", message: "needs the flag gone, which is not there" }),
    );
    expect(prerequisiteRule("a")).toEqual({ $ref: "flag:a" });
  });
});
