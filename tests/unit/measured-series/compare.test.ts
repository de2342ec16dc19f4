import { describe, expect, test } from "vitest";
import { type Random, seededRandom } from "../../../src/judge/random.ts";
import { compareSeries } from "../../../src/measured-series/compare.ts";
import { parseMeasureLimit } from "../../../src/measured-series/limit.ts";
import type { Series } from "../../../src/measured-series/series.ts";

/** Of a standard normal distribution (Box and Muller). */
const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Response times of consecutive intervals: skewed as real ones are, each like the one before it by `likeness`. */
function times(random: Random, count: number, { shift = 0, likeness = 0, round = false } = {}): number[] {
  let state = normal(random);
  return Array.from({ length: count }, () => {
    state = likeness * state + Math.sqrt(1 - likeness ** 2) * normal(random);
    const value = 100 * Math.exp(0.2 * state) + shift;
    return round ? Math.round(value / 10) * 10 : value;
  });
}

const p95 = (values: number[]): Series => ({ p95: { kind: "samples", unit: "ms", values } });

function outcomes(runs: number, one: (random: Random) => string): Record<string, number> {
  const random = seededRandom(8);
  const found: Record<string, number> = { pass: 0, fail: 0, unknown: 0 };
  for (let run = 0; run < runs; run += 1) {
    const status = one(random);
    found[status] = (found[status] ?? 0) + 1 / runs;
  }
  return found as { pass: number; fail: number; unknown: number };
}

const judged = (before: Series, now: Series, limit: string) =>
  compareSeries(before, now, [parseMeasureLimit(limit)])[0]?.status ?? "";

describe("false alarms on samples without a difference", () => {
  test.each([
    ["independent ones", { count: 40 }],
    ["with many ties", { count: 40, round: true }],
    ["each like the one before it", { count: 200, likeness: 0.6 }],
    ["drifting slowly", { count: 1000, likeness: 0.85 }],
    ["drifting all the time", { count: 60, likeness: 0.99 }],
  ])(
    "%s: a limit at the very change that there is fails less than 5 times in 100",
    (_, { count, ...like }) => {
      const found = outcomes(400, (random) =>
        judged(p95(times(random, count, like)), p95(times(random, count, like)), "p95 increase < 0ms"),
      );

      expect(found.fail).toBeLessThan(0.05);
      // A limit that is just missed is passed as seldom.
      expect(found.pass).toBeLessThan(0.05);
    },
  );

  test("an error rate, in bursts or not, fails less than 5 times in 100", () => {
    const counts = (random: Random, burst: number): Series => ({
      "error-rate": {
        kind: "counts",
        intervals: Array.from({ length: 60 }, () => ({
          requests: 200,
          bad:
            random() < 1 / burst
              ? Array.from({ length: 200 }, () => (random() < 0.01 * burst ? 1 : 0)).reduce(
                  (a: number, b) => a + b,
                  0,
                )
              : 0,
        })),
      },
    });
    for (const burst of [1, 10]) {
      const found = outcomes(100, (random) =>
        judged(counts(random, burst), counts(random, burst), "error-rate increase < 0%"),
      );

      expect(found.fail).toBeLessThan(0.05);
    }
  });

  test("several limits together fail wrongly no more often than one", () => {
    const limits = ["p95", "p99", "mean", "p50"].map((each) => parseMeasureLimit(`${each} increase < 0ms`));
    const all = (random: Random): Series =>
      Object.fromEntries(
        limits.map(({ measure }) => [measure, { kind: "samples", unit: "ms", values: times(random, 40) }]),
      );
    const found = outcomes(300, (random) =>
      compareSeries(all(random), all(random), limits).some(({ status }) => status === "fail")
        ? "fail"
        : "pass",
    );

    expect(found.fail).toBeLessThan(0.05);
  });
});

describe("what is there is found", () => {
  test("20 ms more is no pass of a 10 ms limit and nearly always a fail; no change nearly always passes it", () => {
    const slower = outcomes(200, (random) =>
      judged(p95(times(random, 120)), p95(times(random, 120, { shift: 20 })), "p95 increase < 10ms"),
    );
    const same = outcomes(200, (random) =>
      judged(p95(times(random, 120)), p95(times(random, 120)), "p95 increase < 10ms"),
    );

    expect(slower.fail).toBeGreaterThan(0.9);
    expect(slower.pass).toBeLessThan(0.01);
    expect(same.pass).toBeGreaterThan(0.9);
  });

  test("the interval is 95%: it holds the true shift in 94 to 100 of 100 cases", () => {
    const random = seededRandom(3);
    const held: boolean[] = [];
    for (let run = 0; run < 400; run += 1) {
      const [found] = compareSeries(p95(times(random, 30)), p95(times(random, 30, { shift: 25 })), [
        parseMeasureLimit("p95 increase < 100ms"),
      ]);
      if (found?.interval) held.push(found.interval.low <= 25 && found.interval.high >= 25);
    }

    expect(held.length).toBeGreaterThan(300);
    expect(held.filter(Boolean).length / held.length).toBeGreaterThan(0.93);
  });
});

describe("an answer", () => {
  const steady = (value: number, count = 40) =>
    Array.from({ length: count }, (_, index) => value + ((index * 7) % 5));

  test.each([
    ["latency increase < 100 ms", p95(steady(100)), p95(steady(150)), "pass", 50],
    ["latency increase < 100ms", p95(steady(100)), p95(steady(250)), "fail", 150],
    ["p95 increase < 5%", p95(steady(1000)), p95(steady(1010)), "pass", 1],
    ["p95 increase < 5%", p95(steady(1000)), p95(steady(1100)), "fail", 10],
    ["p95 < 5s", p95([]), p95(steady(4000)), "pass", 4002],
    ["p95 < 5s", p95([]), p95(steady(6000)), "fail", 6002],
    ["p95 decrease < 10ms", p95(steady(100)), p95(steady(50)), "fail", 50],
  ] as const)("%s", (limit, before, now, status, estimate) => {
    const [found] = compareSeries(before, now, [parseMeasureLimit(limit)]);

    expect(found?.status).toBe(status);
    expect(found?.interval?.estimate).toBeCloseTo(estimate, 0);
  });

  test("of error rates is in percentage points", () => {
    const rate = (bad: number): Series => ({
      "error-rate": { kind: "counts", intervals: Array.from({ length: 50 }, () => ({ requests: 200, bad })) },
    });
    const [found] = compareSeries(rate(2), rate(6), [parseMeasureLimit("error-rate +1%")]);

    expect(found).toMatchObject({ status: "fail", before: 1, now: 3, unit: "percent" });
    expect(found?.interval?.estimate).toBeCloseTo(2, 5);
    expect(judged(rate(2), rate(2), "error-rate +1%")).toBe("pass");
  });

  test("says how many samples it lacks, and is then no pass", () => {
    const [few] = compareSeries(p95(steady(100)), p95(steady(100, 6)), [
      parseMeasureLimit("p95 increase < 100ms"),
    ]);
    const spread = (offset: number) =>
      Array.from({ length: 12 }, (_, index) => 100 + ((index * 5 + offset) % 12) * 6);
    const [close] = compareSeries(p95(spread(0)), p95(spread(3)), [parseMeasureLimit("p95 increase < 10ms")]);
    const alike = Array.from({ length: 60 }, (_, index) => index);
    const [drift] = compareSeries(p95(alike), p95(alike), [parseMeasureLimit("p95 increase < 100ms")]);

    expect(few).toMatchObject({
      status: "unknown",
      problem: "not enough data: the current sample: 6 samples, 4 more are needed",
    });
    expect(close?.status).toBe("unknown");
    expect(close?.problem).toMatch(/not enough data: about \d+ more on each side/);
    expect(drift).toMatchObject({
      status: "unknown",
      problem: expect.stringContaining("depend on the ones before them"),
    });
  });

  test("of values that drift is one only where the limit is far from all that was seen", () => {
    const from = (start: number) => p95(Array.from({ length: 60 }, (_, index) => start + index));

    expect(judged(from(1), from(1), "p95 increase < 1s")).toBe("pass");
    expect(judged(from(1), from(1), "p95 increase < 100ms")).toBe("unknown");
    expect(judged(from(1), from(500), "p95 increase < 100ms")).toBe("fail");
    expect(judged(from(1), from(1), "p95 < 5s")).toBe("pass");
    expect(judged(from(1), from(1), "p95 < 70ms")).toBe("unknown");
  });

  test.each([
    ["p95 increase < 3", "its unit does not fit"],
    ["p99 increase < 3ms", 'what was measured now has no "p99"'],
    ["p95 < 5%", "its unit does not fit"],
  ])("%s is refused", (limit, message) => {
    expect(() => judged(p95(steady(1)), p95(steady(1)), limit)).toThrow(message);
  });

  test.each(["p95", "p95 increase", "increase < 5%", "p95 = 5ms", "p95 increase +5%", "p95 < soon", "< 5s"])(
    "%j is no limit",
    (text) => {
      expect(() => parseMeasureLimit(text)).toThrow(expect.objectContaining({ exitCode: 2 }));
    },
  );
});
