import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucket, evaluate } from "../../../src/flag/bucket.ts";

describe("a user's bucket", () => {
  test.each([
    ["session-pooling", "1", 8.570026],
    ["session-pooling", "4711", 76.36835],
    ["new-checkout", "4711", 35.432338],
    ["new-checkout", "zoë@example.com", 85.893948],
  ])("of %s for %s is the documented %d", (flag, user, documented) => {
    expect(bucket(flag, user)).toBeCloseTo(documented, 6);
  });

  test("is at least 0 and below 100", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (flag, user) => {
        const value = bucket(flag, user);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(100);
      }),
    );
  });

  test("keeps every user when the rollout grows", () => {
    const share = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.string(), share, share, (user, a, b) => {
        const small = { name: "f", enabled: true, rollout: Math.min(a, b) };
        const large = { name: "f", enabled: true, rollout: Math.max(a, b) };
        if (evaluate(small, user)) expect(evaluate(large, user)).toBe(true);
      }),
    );
  });

  test("spreads users evenly", () => {
    const users = Array.from({ length: 20_000 }, (_, index) => `user-${index}`);
    const share = users.filter((user) => bucket("f", user) < 10).length / users.length;
    expect(share).toBeGreaterThan(0.093);
    expect(share).toBeLessThan(0.107);
  });

  test("is independent of the user's bucket in another flag", () => {
    const users = Array.from({ length: 20_000 }, (_, index) => `user-${index}`);
    const both = users.filter((user) => bucket("a", user) < 50 && bucket("b", user) < 50).length;
    expect(both / users.length).toBeGreaterThan(0.235);
    expect(both / users.length).toBeLessThan(0.265);
  });
});

test("a flag that is off has no users, one at 100% has all of them, one at 0% none", () => {
  fc.assert(
    fc.property(fc.string(), (user) => {
      expect(evaluate({ name: "f", enabled: false, rollout: 100 }, user)).toBe(false);
      expect(evaluate({ name: "f", enabled: true, rollout: 100 }, user)).toBe(true);
      expect(evaluate({ name: "f", enabled: true, rollout: 0 }, user)).toBe(false);
    }),
  );
});
