import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ResponseTimes } from "../../../src/request-source/response-times.ts";

function timesOf(values: readonly number[]): ResponseTimes {
  const times = new ResponseTimes();
  for (const value of values) times.add(value);
  return times;
}

describe("a percentile", () => {
  test("is the nearest rank", () => {
    const times = timesOf(Array.from({ length: 100 }, (_, index) => index + 1));

    expect(times.percentile(95)).toBe(95);
    expect(times.percentile(100)).toBe(100);
  });

  test("does not exist without requests", () => {
    expect(new ResponseTimes().percentile(95)).toBeUndefined();
  });

  test("is what sorting all times gives", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(5000), { minLength: 1 }),
        fc.integer({ min: 1, max: 100 }),
        (values, percent) => {
          const sorted = [...values].sort((a, b) => a - b);

          expect(timesOf(values).percentile(percent)).toBe(
            sorted[Math.ceil((percent / 100) * sorted.length) - 1],
          );
        },
      ),
    );
  });
});
