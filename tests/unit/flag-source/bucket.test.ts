import { FlagdCore } from "@openfeature/flagd-core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucket, isAscii } from "../../../src/flag-source/bucket.ts";
import { shareOf } from "../../../src/flag-source/simple-flag.ts";

/** As flagd-core, and so every SDK in JavaScript, evaluates a share. */
function variantOf(flag: string, targetingKey: string, targeting: unknown): string | undefined {
  const core = new FlagdCore();
  const definition = {
    state: "ENABLED",
    variants: { on: true, off: false },
    defaultVariant: "off",
    targeting,
  };
  core.setConfigurations(JSON.stringify({ flags: { [flag]: definition } }));
  return core.resolveBooleanEvaluation(flag, false, { targetingKey }).variant;
}

describe("a user's bucket", () => {
  // MurmurHash3 x86 32 of the UTF-8 bytes of flag and key, times 100, by 2^32; from the reference implementation.
  test.each([
    ["session-pooling", "1", 69.696138],
    ["session-pooling", "4711", 95.894611],
    ["new-checkout", "4711", 81.8107],
    ["new-checkout", "zoë@example.com", 63.722357],
    ["new-checkout", "日本語", 34.59143],
    ["f", "🙂", 81.286247],
    ["f", "", 16.950275],
  ] as [string, string, number][])("of %s for %s is %d", (flag, key, wanted) => {
    expect(bucket(flag, key)).toBeCloseTo(wanted, 6);
  });

  test("is that of flagd-core for keys in ASCII", () => {
    const key = fc.string({ unit: "binary-ascii", minLength: 1 });
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: 9999 }), (user, weight) => {
        const share = {
          fractional: [
            ["on", weight],
            ["off", 10_000 - weight],
          ],
        };
        const isOn = Math.floor(bucket("f", user) * 100) < weight;
        expect(isAscii(user)).toBe(true);
        expect(variantOf("f", user, share)).toBe(isOn ? "on" : "off");
      }),
      { numRuns: 300 },
    );
  });

  test("is another one in JavaScript for keys that are not ASCII, because its library hashes UTF-16", () => {
    const users = Array.from({ length: 200 }, (_, n) => `zoë-${n}`);
    const differing = users.filter((user) => {
      const isOn = bucket("new-checkout", user) < 50;
      return variantOf("new-checkout", user, shareOf("on", 50, "off")) !== (isOn ? "on" : "off");
    });
    expect(users.some(isAscii)).toBe(false);
    expect(differing.length).toBeGreaterThan(50);
  });
});
