import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Percent, parsePercent } from "../../../src/core/percent.ts";
import type { WeightScale } from "../../../src/rollout/shares.ts";
import { sharesOf, weightsForShare } from "../../../src/rollout/shares.ts";

const haproxy: WeightScale = { maximum: 256 };
const percent: WeightScale = { maximum: 100, total: 100 };

describe("the weights for a share", () => {
  test.each([
    ["10%", { blue: 90, green: 10 }],
    ["50%", { blue: 50, green: 50 }],
    ["1%", { blue: 99, green: 1 }],
    ["99%", { blue: 1, green: 99 }],
    ["0.5%", { blue: 199, green: 1 }],
    ["0%", { blue: 100, green: 0 }],
    ["100%", { blue: 0, green: 100 }],
  ])("of %s are exact", (share, weights) => {
    expect(weightsForShare({ blue: 100, green: 0 }, "green", parsePercent(share), haproxy)).toEqual(weights);
  });

  test("keep the proportion of the others", () => {
    const weights = weightsForShare({ a: 30, b: 10, c: 0 }, "c", parsePercent("20%"), haproxy);

    expect(weights).toEqual({ a: 60, b: 20, c: 20 });
  });

  test("are equal for the others where only the named version had traffic", () => {
    expect(weightsForShare({ a: 0, b: 0, c: 100 }, "c", parsePercent("50%"), haproxy)).toEqual({
      a: 25,
      b: 25,
      c: 50,
    });
  });

  test.each(["0.1%", "99.9%"])("do not exist for %s, and that is said", (share) => {
    expect(() => weightsForShare({ blue: 100, green: 0 }, "green", parsePercent(share), haproxy)).toThrow(
      expect.objectContaining({ code: "E_SHARE", exitCode: 2 }),
    );
  });

  test("are whole, at most 256 and within 0.2 points for every share from 0.5% to 99.5%", () => {
    const anyShare = fc.double({ min: 0.5, max: 99.5, noNaN: true });
    fc.assert(
      fc.property(anyShare, fc.integer({ min: 0, max: 256 }), (share, present) => {
        const weights = weightsForShare(
          { blue: 256 - present, green: present },
          "green",
          share as Percent,
          haproxy,
        );

        expect(
          Object.values(weights).every((each) => Number.isInteger(each) && each >= 0 && each <= 256),
        ).toBe(true);
        expect(Math.abs((sharesOf(weights).green ?? 0) - share)).toBeLessThanOrEqual(0.2);
      }),
    );
  });
});

describe("the weights of a balancer that wants parts of a whole", () => {
  test.each([
    [{ a: 1, b: 1, c: 0 }, "33%", { a: 34, b: 33, c: 33 }],
    [{ a: 90, b: 10, c: 0 }, "50%", { a: 45, b: 5, c: 50 }],
    [{ a: 100, b: 0 }, "100%", { a: 0, b: 100 }],
    [{ a: 0, b: 100 }, "0%", { a: 100, b: 0 }],
  ])("of %j for %s add up", (present, share, weights) => {
    const last = Object.keys(present).at(-1) ?? "";

    expect(weightsForShare(present, last, parsePercent(share), percent)).toEqual(weights);
  });

  test("do not exist for a share that is too fine, and that is said", () => {
    expect(() => weightsForShare({ a: 1, b: 0 }, "b", parsePercent("12.5%"), percent)).toThrow(
      expect.objectContaining({ code: "E_SHARE", hint: expect.stringContaining("from 1% to 99%") }),
    );
  });

  test("add up for every share and every split of the others", () => {
    const whole = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 10, 50, 98, 100), whole, whole, (share, a, b) => {
        const weights = weightsForShare({ a, b, c: 3 }, "c", share as Percent, { maximum: 100, total: 100 });

        expect(Object.values(weights).reduce((sum, each) => sum + each)).toBe(100);
        expect(weights.c).toBe(share);
      }),
    );
  });
});

test("shares are zero where no version has weight", () => {
  expect(sharesOf({ blue: 0, green: 0 })).toEqual({ blue: 0, green: 0 });
});
