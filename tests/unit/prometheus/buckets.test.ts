import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketsOf, lastBound, spreadTimes } from "../../../src/prometheus/buckets.ts";
import { ResponseTimes } from "../../../src/request-source/response-times.ts";

const cumulative = { "0.1": 50, "0.5": 90, "1": 99, "+Inf": 100 };
const buckets = bucketsOf(new Map(Object.entries(cumulative)));

function percentile(percent: number, of = buckets): number | undefined {
  const times = new ResponseTimes();
  for (const { time, requests } of spreadTimes(of)) times.add(time, requests);
  return times.percentile(percent);
}

describe("a histogram's buckets", () => {
  test("count what lies between two bounds, in milliseconds", () => {
    expect(buckets).toEqual([
      { from: 0, to: 100, requests: 50 },
      { from: 100, to: 500, requests: 40 },
      { from: 500, to: 1000, requests: 9 },
      { from: 1000, to: Number.POSITIVE_INFINITY, requests: 1 },
    ]);
    expect(lastBound(buckets)).toBe(1000);
  });

  test("give the percentiles that Prometheus interpolates, to a part of a bucket's width", () => {
    // histogram_quantile(0.95, …): 0.5 + (1 - 0.5) * (95 - 90) / 9
    expect(percentile(95)).toBeGreaterThanOrEqual(722);
    expect(percentile(95)).toBeLessThanOrEqual(806);
    expect(percentile(50)).toBeGreaterThanOrEqual(98);
    expect(percentile(50)).toBeLessThanOrEqual(100);
  });

  test("say of the slowest only that they took longer than the last bound", () => {
    expect(percentile(100)).toBe(1001);
  });

  test("are as many as were counted, in whatever order the series come", () => {
    const counts = fc.uniqueArray(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(counts, fc.integer({ min: 0, max: 5000 }), (bounds, beyond) => {
        const sorted = bounds.toSorted((a, b) => a - b);
        const series = sorted.map((bound, index) => [String(bound / 1000), (index + 1) * 137] as const);
        const total = sorted.length * 137 + beyond;
        const spread = spreadTimes(bucketsOf(new Map([["+Inf", total], ...series.toReversed()])));

        expect(spread.reduce((sum, { requests }) => sum + requests, 0)).toBe(total);
        for (const { time, requests } of spread) {
          expect(time).toBeGreaterThan(0);
          expect(Number.isInteger(requests) && requests > 0).toBe(true);
        }
      }),
    );
  });

  test("that a scrape fell into are never negative, and a bound that is no number is told", () => {
    expect(
      bucketsOf(
        new Map([
          ["0.1", 5],
          ["0.2", 4],
          ["+Inf", 6],
        ]),
      ).map(({ requests }) => requests),
    ).toEqual([5, 0, 1]);
    expect(() => bucketsOf(new Map([["fast", 5]]))).toThrow(/"fast", which is no number/);
  });
});
