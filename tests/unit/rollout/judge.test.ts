import { describe, expect, test } from "vitest";
import { noCounts } from "../../../src/request-source/counters.ts";
import type { Counters } from "../../../src/request-source/request-source.ts";
import { ResponseTimes } from "../../../src/request-source/response-times.ts";
import {
  type Look,
  missingData,
  observedShare,
  reasonsToAbort,
  silence,
  unprovenExcess,
} from "../../../src/rollout/judge.ts";
import { abortWhen } from "../../../src/rollout/limits.ts";
import type { Health, Reading } from "../../../src/rollout/reading.ts";
import { CanaryWindow } from "../../../src/rollout/window.ts";

const limits = abortWhen.parse({});

function times(values: Record<number, number>): ResponseTimes {
  const all = new ResponseTimes();
  for (const [time, count] of Object.entries(values)) all.add(Number(time), count);
  return all;
}

function look(counts: Partial<Counters>, more: Partial<Look> = {}): Look {
  const stretch = { counts: { ...noCounts, answered: counts.requests ?? 0, ...counts }, times: undefined };
  return {
    version: "green",
    share: 10,
    sinceStart: stretch,
    recent: stretch,
    routeRequests: 1000,
    health: "up",
    status: "UP",
    meanResponse: 12,
    unequal: 0,
    watched: 60_000,
    silent: 0,
    unanswered: 0,
    failedInRow: 0,
    ...more,
  };
}

function reading(counts: Partial<Counters>, health: Health = "up"): Reading {
  const counters = { ...noCounts, ...counts };
  return [{ version: "green", server: "green", weight: 10, health, status: "UP", process: "1", counters }];
}

describe("the error rate", () => {
  test("aborts above its limit, with the numbers", () => {
    expect(reasonsToAbort(look({ requests: 95, serverErrors: 12 }), limits, 20)).toEqual([
      "green answered 12 of 95 requests badly (12.6%, limit > 5%) at 10%",
    ]);
  });

  test("does not abort at its limit", () => {
    expect(reasonsToAbort(look({ requests: 100, serverErrors: 5 }), limits, 20)).toEqual([]);
  });

  test("counts redispatches where there is no 5xx at all", () => {
    const seen = look({ requests: 40, answered: 0, retries: 40, redispatches: 40 });

    expect(reasonsToAbort(seen, limits, 20)).toEqual([
      "green answered 40 of 40 requests badly (100.0%, limit > 5%) at 10%",
    ]);
  });

  test.each([
    // P(X ≥ 2 of 20) = 0.26 at a rate of 5%; P(X ≥ 3) = 0.075, P(X ≥ 4) = 0.016
    [2, 20, 0],
    [3, 20, 0],
    [4, 20, 1],
    // A third of the first look with enough requests.
    [7, 20, 1],
    // Fewer than the minimum: as if all that are missing were good.
    [3, 3, 0],
    [4, 4, 1],
  ])("of %i of %i is over 5% beyond doubt: %i reasons", (serverErrors, requests, reasons) => {
    expect(reasonsToAbort(look({ requests, serverErrors }), limits, 20)).toHaveLength(reasons);
  });

  test("counts a burst of errors as one where they come in bursts", () => {
    const seen = look({ requests: 20, serverErrors: 5 });

    expect(reasonsToAbort(seen, limits, 20)).toHaveLength(1);
    expect(reasonsToAbort(seen, limits, 20, { dispersion: 10, slow: null })).toEqual([]);
    // 100 of 300: 10 of 30.
    const many = look({ requests: 300, serverErrors: 100 });
    expect(reasonsToAbort(many, limits, 20, { dispersion: 10, slow: null })).toHaveLength(1);
  });

  test("allows nothing where its limit is 0%", () => {
    const none = abortWhen.parse({ "error-rate": "> 0%" });

    expect(reasonsToAbort(look({ requests: 1, serverErrors: 1 }), none, 20)).toHaveLength(1);
  });

  test("is no pass where it is over its limit, but not beyond doubt", () => {
    expect(unprovenExcess(look({ requests: 20, serverErrors: 2 }), limits)).toBe(
      "green answered 2 of 20 requests badly (10.0%, limit > 5%), which may be chance",
    );
    expect(unprovenExcess(look({ requests: 40, serverErrors: 2 }), limits)).toBeUndefined();
    expect(unprovenExcess(look({ requests: 0 }), limits)).toBeUndefined();
  });

  test("sees a late fault that the whole step dilutes", () => {
    const recent = {
      counts: { ...noCounts, requests: 300, answered: 300, serverErrors: 60 },
      times: undefined,
    };

    expect(reasonsToAbort(look({ requests: 10_000, serverErrors: 60 }, { recent }), limits, 20)).toEqual([
      "green answered 60 of the last 300 requests badly (20.0%, limit > 5%) at 10%",
    ]);
  });

  test("does not take a few errors in few recent requests for a fault", () => {
    const recent = { counts: { ...noCounts, requests: 20, answered: 20, serverErrors: 2 }, times: undefined };

    expect(reasonsToAbort(look({ requests: 10_000, serverErrors: 2 }, { recent }), limits, 20)).toEqual([]);
  });
});

describe("health", () => {
  test("aborts at once when the version is out of use", () => {
    expect(reasonsToAbort(look({}, { health: "down", status: "DOWN" }), limits, 20)).toEqual([
      "green is DOWN at 10%",
    ]);
  });

  test("aborts after more failed checks than allowed", () => {
    expect(reasonsToAbort(look({}, { failedInRow: 3 }), limits, 20)).toEqual([]);
    expect(reasonsToAbort(look({}, { failedInRow: 4 }), limits, 20)).toEqual([
      "green failed 4 health checks in a row (limit > 3) at 10%",
    ]);
  });

  test("counts the failed checks in a row: a look that finds the version up ends it", () => {
    const window = new CanaryWindow("green", 10, 0, reading({}), "without-times");
    const failed = (at: number, failedChecks: number, health: Health) => {
      window.add(at, reading({ failedChecks }, health), undefined);
      return window.look().failedInRow;
    };

    expect(failed(1000, 2, "failing")).toBe(2);
    expect(failed(2000, 3, "failing")).toBe(3);
    expect(failed(3000, 3, "up")).toBe(0);
    // One that failed and one that was good, both since the look before.
    expect(failed(4000, 4, "up")).toBe(0);
    expect(failed(5000, 5, "failing")).toBe(1);
    expect(window.look().sinceStart.counts.failedChecks).toBe(5);
  });
});

describe("latency", () => {
  const slow = abortWhen.parse({ p95: "> 100ms", "mean-response": "> 50ms" });

  test("aborts where more than one in twenty takes too long beyond doubt, and does not pass where it is in doubt", () => {
    const seen = (slowOnes: number) => {
      const stretch = {
        counts: { ...noCounts, requests: 100, answered: 100 },
        times: times({ 10: 100 - slowOnes, 400: slowOnes }),
      };
      return look({}, { sinceStart: stretch, recent: stretch });
    };

    // P(X ≥ 10 of 100) = 0.028 at 5%, P(X ≥ 11) = 0.011
    expect(reasonsToAbort(seen(11), slow, 20)).toEqual([
      "green has a p95 of 400ms over 100 requests (limit > 100ms) at 10%",
    ]);
    expect(reasonsToAbort(seen(10), slow, 20)).toEqual([]);
    expect(unprovenExcess(seen(10), slow)).toBe(
      "green has a p95 of 400ms over 100 requests (limit > 100ms), which may be chance",
    );
    expect(unprovenExcess(seen(5), slow)).toBeUndefined();
  });

  test("aborts on a late slowness that the whole step dilutes", () => {
    const seen = look(
      {},
      {
        sinceStart: { counts: noCounts, times: times({ 10: 9960, 400: 40 }) },
        recent: { counts: noCounts, times: times({ 10: 160, 400: 40 }) },
      },
    );

    expect(reasonsToAbort(seen, slow, 20)).toEqual([
      "green took longer than the p95 limit (> 100ms) for 40 of the last 200 requests at 10%",
    ]);
  });

  test("aborts by the balancer's mean", () => {
    expect(reasonsToAbort(look({ requests: 30 }, { meanResponse: 70 }), slow, 20)).toEqual([
      "green answers in 70 ms on average (limit > 50ms) at 10%",
    ]);
  });
});

describe("a verdict", () => {
  test("lacks requests where too few came to an end", () => {
    expect(missingData(look({ requests: 50, answered: 7 }), limits, 20)).toBe(
      "only 7 requests of green came to an end (needs 20)",
    );
  });

  test("lacks request times where the ring shows none", () => {
    const stretch = { counts: { ...noCounts, requests: 50, answered: 50 }, times: new ResponseTimes() };
    const slow = abortWhen.parse({ p95: "> 1s" });

    expect(missingData(look({}, { sinceStart: stretch }), slow, 20)).toMatch(
      /^only 0 request times of green/,
    );
  });

  test("lacks answers where the last requests have none, however many came before", () => {
    const window = new CanaryWindow("green", 10, 0, reading({}), "without-times");
    const lacking = (at: number, requests: number, answered: number) => {
      window.add(at, reading({ requests, answered }), undefined);
      return missingData(window.look(), limits, 20);
    };

    expect(lacking(1000, 500, 499)).toBeUndefined();
    expect(lacking(2000, 504, 499)).toBeUndefined();
    expect(lacking(3000, 506, 499)).toBe("the last 6 requests of green have no answer yet");
    expect(lacking(4000, 516, 500)).toBeUndefined();
  });

  test("lacks nothing with enough of both", () => {
    expect(missingData(look({ requests: 20 }), limits, 20)).toBeUndefined();
  });
});

test.each([
  { "error-rate": "> 5" },
  { "error-rate": "< 5%" },
  { p95: "> 500" },
  { "health-failures": "> 5%" },
  { "error-rat": "> 5%" },
])("the limit %j is refused", (written) => {
  expect(abortWhen.safeParse(written).success).toBe(false);
});

describe("figures that stopped", () => {
  const since = (silent: number, requests: number) =>
    silence(look({ requests }, { watched: 60_000, silent }), { apart: { maxAge: 10_000 } });

  test("are missing once 20 requests were to be expected", () => {
    expect(since(20_000, 40)).toBe("no request of green was seen for 20s, in which 20 were to be expected");
    expect(since(20_000, 38)).toBeUndefined();
  });

  test("are nothing unusual for as long as the source may be silent, or where there never were any", () => {
    expect(since(9000, 4000)).toBeUndefined();
    expect(since(60_000, 0)).toBeUndefined();
  });

  test("of versions that were watched for unequal times are compared with more allowance", () => {
    const uneven = { routeRequests: 10_000, share: 50 };
    expect(observedShare(look({ requests: 4600 }, uneven)).verdict).toBe("disagrees");
    expect(observedShare(look({ requests: 4600 }, { ...uneven, unequal: 0.1 })).verdict).toBe("agrees");
  });
});
