import { describe, expect, test } from "vitest";
import { dispersionOf } from "../../../src/judge/dispersion.ts";
import { ErrorSource } from "../../../src/judge/error-source.ts";
import { mannWhitney } from "../../../src/judge/mann-whitney.ts";
import { seededRandom } from "../../../src/judge/random.ts";
import { type Performance, type Scenario, simulate } from "../../../src/rollout/simulate.ts";

const scenario: Scenario = {
  rps: 10,
  errorRate: 0.005,
  ratio: 1,
  burst: 1,
  steps: [0.1, 0.5],
  bake: 600,
  learn: 600,
  sharedIncident: 1,
  runs: 1000,
  seed: 11,
  slow: undefined,
  judge: { stretch: 10, alpha: 0.01, tolerate: 1, errorRate: 0.05, minRequests: 20, limit: 0.01 },
};
const ops = (changed: Partial<Scenario>): Performance | undefined =>
  simulate({ ...scenario, ...changed }).find((each) => each.judge === "ops");

describe("the judge on simulated traffic (seeded: the same numbers each time)", () => {
  test.each([
    ["independent errors", {}, 0.01],
    ["bursts of five, after learning for ten minutes", { burst: 5 }, 0.02],
    ["bursts of five, after learning for two minutes", { burst: 5, learn: 120 }, 0.02],
    [
      "an incident that both share, below the limit",
      { sharedIncident: 20, judge: { ...scenario.judge, errorRate: 0.2 } },
      0.01,
    ],
  ])("aborts hardly any canary of a healthy version: %s", (_, changed, goal) => {
    expect(ops(changed)?.aborted).toBeLessThanOrEqual(goal);
  });

  test.each([1, 10])(
    "its limit on the error rate does not abort them either, looked at every second: %i rps",
    (rps) => {
      const found = ops({
        rps,
        steps: [0.1],
        bake: 120,
        judge: { ...scenario.judge, stretch: 1, alpha: 1e-9 },
      });

      expect(found?.aborted).toBe(0);
    },
  );

  test("its limit on the error rate ends a version that fails a third of its requests within its first 20", () => {
    const judge = { ...scenario.judge, stretch: 1, alpha: 1e-9 };
    const found = ops({ errorRate: 0.33, steps: [0.1], bake: 30, judge, runs: 300 });

    expect(found?.aborted).toBe(1);
    expect(found?.p90).toBeLessThanOrEqual(2);
  });

  test("a latency that puts less than twice as many requests over the limit is tolerated, and a longer one found", () => {
    expect(ops({ slow: { old: 0.044, new: 0.084 }, steps: [0.1], bake: 300 })?.aborted).toBeLessThanOrEqual(
      0.01,
    );
    expect(ops({ slow: { old: 0.044, new: 0.2 }, steps: [0.1], bake: 300 })?.aborted).toBeGreaterThanOrEqual(
      0.99,
    );
  });

  test("finds a version that fails five times as often, soon and nearly always", () => {
    const found = ops({ ratio: 5, steps: [0.1] });

    expect(found?.aborted).toBeGreaterThanOrEqual(0.99);
    expect(found?.median).toBeLessThanOrEqual(160);
  });

  test("gives the same numbers for the same seed, and others for another", () => {
    const twice = [simulate({ ...scenario, runs: 50 }), simulate({ ...scenario, runs: 50 })];

    expect(twice[0]).toEqual(twice[1]);
    expect(simulate({ ...scenario, runs: 50, ratio: 2, seed: 12 })).not.toEqual(
      simulate({ ...scenario, runs: 50, ratio: 2 }),
    );
  });

  test.each([1, 5])("errors are as frequent as asked for, in bursts of %i", (burst) => {
    const source = new ErrorSource(seededRandom(3), 0.02, burst);

    const stretches = Array.from({ length: 20_000 }, () => source.take(100));

    const bad = stretches.reduce((total, each) => total + each.bad, 0);
    expect(bad / 2_000_000).toBeCloseTo(0.02, 3);
  });
});

describe("the dispersion", () => {
  const stretchesOf = (burst: number) => {
    const source = new ErrorSource(seededRandom(5), 0.005, burst);
    return Array.from({ length: 2000 }, () => source.take(1000));
  };

  test("is near one for independent errors, and near the size of bursts weighed by their size otherwise", () => {
    expect(dispersionOf(stretchesOf(1))).toBeLessThan(1.6);
    // Geometric sizes of mean 5: E[s²]/E[s] = 9, and the margin of a quarter.
    expect(dispersionOf(stretchesOf(5)) / 1.25).toBeGreaterThan(7.5);
    expect(dispersionOf(stretchesOf(5)) / 1.25).toBeLessThan(10.5);
  });

  test("is one where nothing was seen", () => {
    expect(dispersionOf([])).toBe(1);
    expect(
      dispersionOf([
        { requests: 100, bad: 0 },
        { requests: 0, bad: 0 },
      ]),
    ).toBe(1);
  });
});

describe("Mann-Whitney", () => {
  test("is the number of pairs that the first side wins, in standard deviations", () => {
    // Three against three, all smaller: U is 0 instead of 4.5, its variance 3·3·7/12.
    expect(mannWhitney([1, 2, 3], [4, 5, 6])).toBeCloseTo(-4.5 / Math.sqrt(5.25), 12);
    // One tie: of 20 pairs 1 is won and 1 is half won; the tie takes 6/72 from 10.
    expect(mannWhitney([1, 2, 3, 4], [3, 5, 6, 7, 8])).toBeCloseTo(
      (1.5 - 10) / Math.sqrt((20 / 12) * (10 - 6 / 72)),
      12,
    );
  });

  test("is antisymmetric, and 0 where nothing differs", () => {
    expect(mannWhitney([1, 5, 9], [2, 3, 4])).toBeCloseTo(-mannWhitney([2, 3, 4], [1, 5, 9]), 12);
    expect(mannWhitney([1, 1], [1, 1])).toBe(0);
    expect(mannWhitney([], [1])).toBe(0);
  });
});
