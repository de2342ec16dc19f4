import { describe, expect, test } from "vitest";
import type { FlagDefinition } from "../../../src/flag-source/definition.ts";
import { emptySet, withEvaluator, withFlag } from "../../../src/flag-source/flag-set.ts";
import { findings } from "../../../src/flag-source/lint.ts";
import { killed, turnedOff } from "../../../src/flag-source/off.ts";

const plain: FlagDefinition = {
  state: "ENABLED",
  variants: { on: true, off: false },
  defaultVariant: "off",
  metadata: { owner: "shop" },
};
const targeting = (rule: FlagDefinition["targeting"]): FlagDefinition => ({ ...plain, targeting: rule });
const isGerman = { "==": [{ var: "country" }, "DE"] };

function rulesOf(definition: FlagDefinition, name = "f"): string[] {
  const set = withFlag(withEvaluator(emptySet, "beta", isGerman), name, definition);
  return findings(set, { now: new Date("2026-06-01") }).map((each) => `${each.severity} ${each.rule}`);
}

test.each<[string, FlagDefinition]>([
  ["a plain flag", plain],
  [
    "a share",
    targeting({
      fractional: [
        ["on", 10],
        ["off", 90],
      ],
    }),
  ],
  ["shares without weights", targeting({ fractional: [["on"], ["off"]] })],
  ["a share by another attribute", targeting({ fractional: [{ var: "email" }, ["on", 1], ["off", 99]] })],
  [
    "weights that are computed",
    targeting({
      fractional: [
        ["on", { "-": [5, 1] }],
        ["off", 96],
      ],
    }),
  ],
  ["nested conditions", targeting({ if: [{ $ref: "beta" }, { if: [isGerman, "on", null] }, "off"] })],
  ["a version", targeting({ if: [{ sem_ver: [{ var: "v" }, ">=", "1.2.3"] }, "on"] })],
  ["an empty rule", targeting({})],
])("%s has no findings", (_, definition) => {
  expect(rulesOf(definition)).toEqual([]);
});

test.each<[string, FlagDefinition, string]>([
  ["no variants", { ...plain, variants: {} }, "error variants"],
  ["variants of two types", { ...plain, variants: { on: true, off: "no" } }, "error variant-types"],
  ["no default variant", { ...plain, defaultVariant: null }, "error default-variant"],
  ["an unknown default variant", { ...plain, defaultVariant: "of" }, "error default-variant"],
  ["no owner", { ...plain, metadata: {} }, "warning owner"],
  ["no date of expiry", { ...plain, metadata: { owner: "x", expires: "soon" } }, "error expires"],
  [
    "a date that has passed",
    { ...plain, metadata: { owner: "x", expires: "2026-01-31" } },
    "warning expired",
  ],
  ["a kill that is none", { ...plain, metadata: { owner: "x", killed: false } }, "error reserved"],
  ["a kill of nothing", { ...plain, metadata: { owner: "x", killed: "yes" } }, "error reserved"],
  ["an off that is none", { ...plain, metadata: { owner: "x", off: "{}" } }, "error reserved"],
  ["a protection that is none", { ...plain, metadata: { owner: "x", protected: "yes" } }, "error reserved"],
  [
    "a variant for off that is none",
    { ...plain, metadata: { owner: "x", "off-variant": "no" } },
    "error reserved",
  ],
  ["an off flag that is on", { ...turnedOff(plain), defaultVariant: "on" }, "error off-default"],
  [
    "no variant for off",
    { ...plain, variants: { a: "1", b: "2" }, defaultVariant: "a" },
    "warning off-variant",
  ],
  ["an unknown operator", targeting({ startswith: [{ var: "a" }, "b"] }), "error operator"],
  ["two operators", targeting({ if: [isGerman, "on"], and: [] }), "error operator"],
  ["an unknown variant", targeting({ if: [isGerman, "green"] }), "error unknown-variant"],
  ["true, which is no variant", targeting(isGerman), "error unknown-variant"],
  [
    "an unknown variant in a share",
    targeting({
      fractional: [
        ["onn", 50],
        ["off", 50],
      ],
    }),
    "error unknown-variant",
  ],
  ["an unknown segment", targeting({ if: [{ $ref: "alpha" }, "on"] }), "error reference"],
  [
    "a weight that is not whole",
    targeting({
      fractional: [
        ["on", 0.5],
        ["off", 99.5],
      ],
    }),
    "error fractional-weight",
  ],
  [
    "a weight below zero",
    targeting({
      fractional: [
        ["on", -1],
        ["off", 101],
      ],
    }),
    "error fractional-weight",
  ],
  [
    "weights of nothing",
    targeting({
      fractional: [
        ["on", 0],
        ["off", 0],
      ],
    }),
    "error fractional-sum",
  ],
  [
    "weights beyond all",
    targeting({
      fractional: [
        ["on", 2 ** 31],
        ["off", 1],
      ],
    }),
    "error fractional-sum",
  ],
  [
    "weights that do not sum to 100",
    targeting({
      fractional: [
        ["on", 10],
        ["off", 80],
      ],
    }),
    "warning fractional-sum",
  ],
  ["a share without a list", targeting({ fractional: ["on", 10] }), "error fractional"],
  [
    "a wrong comparison",
    targeting({ if: [{ sem_ver: [{ var: "v" }, "=>", "1.0.0"] }, "on"] }),
    "error sem-ver",
  ],
  ["a wrong version", targeting({ if: [{ sem_ver: [{ var: "v" }, ">", "one"] }, "on"] }), "error sem-ver"],
  ["too few values", targeting({ if: [{ starts_with: [{ var: "v" }] }, "on"] }), "error arguments"],
  [
    "a branch behind a constant",
    targeting({ if: [{ "===": [1, 1] }, "on", isGerman, "off"] }),
    "warning unreachable",
  ],
  ["a branch that is never taken", targeting({ if: [false, "on", "off"] }), "warning unreachable"],
  ["the same condition twice", targeting({ if: [isGerman, "on", isGerman, "off"] }), "warning unreachable"],
  [
    "a mistake in what counts when it is on",
    turnedOff(targeting({ if: [isGerman, "green"] })),
    "error unknown-variant",
  ],
])("%s is found: %s", (_, definition, found) => {
  expect(rulesOf(definition)).toContain(found);
});

test("a name that commands do not take is found", () => {
  expect(rulesOf(plain, "a flag")).toEqual(["warning name"]);
});

test("a killed flag that somebody changes by hand is found, and off again when it is killed again", () => {
  const dead = killed(plain, { at: "2026-05-01T00:00:00Z", by: "ann" });
  const brokenByHand: FlagDefinition = {
    ...dead,
    state: "DISABLED",
    defaultVariant: "on",
    targeting: { if: [isGerman, "on"] },
  };
  expect(rulesOf(dead)).toEqual([]);
  expect(rulesOf(brokenByHand)).toEqual([
    "error killed-targeting",
    "error killed-disabled",
    "error off-default",
  ]);
  expect(killed(brokenByHand, { at: "2026-05-02T00:00:00Z", by: "bob" })).toEqual(dead);
  // The variant that was named counts, also where another one stands for off.
  const named = killed(plain, { at: "2026-05-01T00:00:00Z", by: "ann", variant: "on" });
  expect(rulesOf(named)).toEqual([]);
  expect(killed({ ...named, defaultVariant: "off" }, { at: "", by: "bob" })).toEqual(named);
});

describe("a segment", () => {
  const of = (...segments: [string, object][]) =>
    findings(segments.reduce((set, [name, rule]) => withEvaluator(set, name, rule as never), emptySet)).map(
      (each) => `${each.name} ${each.rule}`,
    );

  test("may use one behind it, and no other", () => {
    expect(of(["a", { and: [{ $ref: "b" }] }], ["b", isGerman])).toEqual([]);
    expect(of(["b", isGerman], ["a", { and: [{ $ref: "b" }] }])).toEqual(["a segment-order"]);
    expect(of(["a", { and: [{ $ref: "a" }] }])).toEqual(["a segment-order"]);
  });

  test("is not replaced by other text in JavaScript", () => {
    expect(of(["a", { "==": [{ var: "price" }, "US$$"] }])).toEqual(["a segment-text"]);
    expect(of(["a", { ">": [{ var: "$flagd.timestamp" }, 1] }])).toEqual([]);
  });
});
