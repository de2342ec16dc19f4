import fc from "fast-check";
import type { Json } from "../../src/core/errors.ts";
import type { FlagDefinition, Rule } from "../../src/flag-source/definition.ts";

/** Contexts as applications send them: with and without a targeting key, attributes of any kind. */
export const context: fc.Arbitrary<Record<string, Json>> = fc
  .record(
    {
      targetingKey: fc.oneof(
        fc.stringMatching(/^[a-z0-9-]{1,12}$/),
        fc.constantFrom("acme", "globex", "zoë@example.com", ""),
      ),
      country: fc.oneof(fc.constantFrom("DE", "FR", "US"), fc.integer(), fc.constant(null)),
      version: fc.constantFrom("1.2.3", "v2.0.0", "3", "no version"),
      email: fc.constantFrom("ann@example.com", "bob@example.org"),
      plan: fc.record({ seats: fc.nat(100) }),
    },
    { requiredKeys: [] },
  )
  .map((each) => each as Record<string, Json>);

const condition: fc.Arbitrary<Rule> = fc.oneof(
  fc.constantFrom("DE", "FR").map((each) => ({ "==": [{ var: "country" }, each] })),
  fc.constantFrom("acme", "globex").map((each) => ({ in: [{ var: "targetingKey" }, [each]] })),
  fc.constantFrom("^", ">=", "<").map((each) => ({ sem_ver: [{ var: "version" }, each, "2.0.0"] })),
  fc.constant<Rule>({ ends_with: [{ var: "email" }, "@example.com"] }),
  fc.nat(100).map((each) => ({ ">": [{ var: "plan.seats" }, each] })),
  fc.constant<Rule>({ $ref: "beta" }),
);

/** A rule that gives one of `on`, `off` and nothing, and that lint has no error against. */
export const rule: fc.Arbitrary<Rule> = fc.letrec<{ rule: Rule }>((tie) => ({
  rule: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: 1, max: 99 }).map((each) => ({
      fractional: [
        ["on", each],
        ["off", 100 - each],
      ],
    })),
    fc
      .tuple(condition, fc.oneof(fc.constantFrom<Rule>("on", "off", null), tie("rule")), tie("rule"))
      .map(([asked, yes, no]) => ({ if: [asked, yes, no] })),
    fc.tuple(condition, condition).map(([one, other]) => ({ if: [{ and: [one, { "!": [other] }] }, "on"] })),
  ),
})).rule;

export const definition: fc.Arbitrary<FlagDefinition> = fc
  .record({
    state: fc.constantFrom("ENABLED" as const, "DISABLED" as const),
    defaultVariant: fc.constantFrom("on", "off"),
    targeting: fc.option(rule, { nil: undefined }),
    owner: fc.option(fc.string(), { nil: undefined }),
  })
  .map(({ owner, targeting, ...each }) => ({
    ...each,
    variants: { on: true, off: false },
    ...(targeting !== undefined && { targeting }),
    ...(owner !== undefined && { metadata: { owner } }),
  }));

export const beta: Rule = { starts_with: [{ var: "email" }, "ann"] };
