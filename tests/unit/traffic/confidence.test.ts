import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { observeShare, wilsonLowerBound } from "../../../src/traffic/confidence.ts";

describe("Wilson's lower bound", () => {
  test("agrees with the published value for 10 of 100 at 95%", () => {
    expect(wilsonLowerBound(10, 100, 1.96)).toBeCloseTo(0.0552, 4);
  });

  test("lies between zero and the observed rate", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), (hits, others) => {
        const bound = wilsonLowerBound(hits, hits + others, 3);

        expect(bound).toBeGreaterThanOrEqual(0);
        expect(bound).toBeLessThanOrEqual(hits === 0 ? 0 : hits / (hits + others));
      }),
    );
  });
});

describe("an observed share", () => {
  test.each([
    [100, 1000, 0.1, "agrees"],
    [103, 1000, 0.1, "agrees"],
    [900, 1000, 0.1, "disagrees"],
    [450, 10_000, 0.1, "disagrees"],
    [1000, 1000, 1, "agrees"],
    [900, 1000, 1, "disagrees"],
    [0, 1000, 0, "agrees"],
    [3, 19, 0.1, "unknown"],
    [0, 0, 0.5, "unknown"],
  ])("of %i in %i with %f intended %4$s", (hits, requests, intended, verdict) => {
    expect(observeShare(hits, requests, intended).verdict).toBe(verdict);
  });
});
