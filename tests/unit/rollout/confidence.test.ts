import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAboveBeyondDoubt, observeShare } from "../../../src/rollout/confidence.ts";

describe("a rate above a limit beyond doubt", () => {
  test.each([
    [0, 1000, 0.05, false],
    [1, 1, 0.05, false],
    [2, 2, 0.05, false],
    // 0.05³ = 0.000125
    [3, 3, 0.05, true],
    [1, 1, 0, true],
    // P(X ≥ 72 of 1000) = 0.00154, P(X ≥ 73) = 0.00101
    [72, 1000, 0.05, false],
    [73, 1000, 0.05, true],
    [1000, 1000, 0.999, false],
    [60_000, 100_000, 0.5, true],
  ])("%i of %i against %d: %s", (hits, trials, rate, expected) => {
    expect(isAboveBeyondDoubt(hits, trials, rate)).toBe(expected);
  });

  test("once it is, more hits leave it so", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        (trials, rate) => {
          const found = Array.from({ length: trials + 1 }, (_, hits) =>
            isAboveBeyondDoubt(hits, trials, rate),
          );

          expect(found).toEqual([...found].sort((one, other) => Number(one) - Number(other)));
        },
      ),
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
    [0, 20, 0.5, "disagrees"],
    [20, 20, 0.5, "disagrees"],
    [0, 30, 0.1, "unknown"],
    [1, 30, 0.1, "agrees"],
    [0, 100, 0.1, "disagrees"],
    [0, 200, 0.01, "unknown"],
    [1, 200, 0.01, "agrees"],
    [10, 100_000, 0.005, "disagrees"],
  ])("of %i in %i with %f intended %4$s", (hits, requests, intended, verdict) => {
    expect(observeShare(hits, requests, intended).verdict).toBe(verdict);
  });

  test("of versions that were counted at different times is not confirmed by none either", () => {
    expect(observeShare(0, 100_000, 0.01, 1)).toEqual({ verdict: "unknown", requests: 100_000, share: 0 });
  });

  test.each([
    [30, 1000, 0.1, "agrees"],
    [300, 1000, 0.1, "agrees"],
    [0, 100, 0.1, "unknown"],
    [0, 200, 0.01, "unknown"],
    [0, 1000, 0.1, "disagrees"],
    [900, 1000, 0.1, "disagrees"],
    [990, 1000, 1, "disagrees"],
  ])("of users may be uneven: %i in %i with %f intended %4$s", (hits, requests, intended, verdict) => {
    expect(observeShare(hits, requests, intended, 0, "users").verdict).toBe(verdict);
  });
});
