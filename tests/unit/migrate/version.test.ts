import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalVersion, compareVersions } from "../../../src/migrate/version.ts";

const digits = fc.stringMatching(/^\d{1,30}$/);

describe("versions", () => {
  test("compare as numbers of any length", () => {
    fc.assert(
      fc.property(digits, digits, (a, b) => {
        const expected = BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0;
        expect(Math.sign(compareVersions(a, b))).toBe(expected);
      }),
    );
  });

  test("are equal exactly where their canonical texts are", () => {
    fc.assert(
      fc.property(digits, digits, (a, b) => {
        expect(canonicalVersion(a) === canonicalVersion(b)).toBe(BigInt(a) === BigInt(b));
      }),
    );
  });

  test("sort short numbers before dates", () => {
    expect(["20260101120000", "0010", "0002", "9"].sort(compareVersions)).toEqual([
      "0002",
      "9",
      "0010",
      "20260101120000",
    ]);
  });
});
