import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  badRequests,
  CountingWindow,
  noCounts,
  settledRequests,
} from "../../../src/request-source/counters.ts";
import type { Counters } from "../../../src/request-source/request-source.ts";
import type { Reading } from "../../../src/rollout/reading.ts";

const counts = (some: Partial<Counters>): Counters => ({ ...noCounts, ...some });
const reading = (green: Partial<Counters>, blue: Partial<Counters> = {}, process = "7"): Reading =>
  [
    { version: "blue", counters: counts(blue) },
    { version: "green", counters: counts(green) },
  ].map((each) => ({ ...each, server: each.version, weight: 1, health: "up", status: "UP", process }));

describe("bad requests", () => {
  test("include those that the balancer hid by sending them elsewhere", () => {
    expect(badRequests(counts({ requests: 19, retries: 10, redispatches: 5 }))).toBe(15);
  });

  test("are never more than the requests, although one leaves several marks", () => {
    expect(badRequests(counts({ requests: 19, retries: 19, redispatches: 19 }))).toBe(19);
  });

  test("are among the settled requests", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 7, maxLength: 7 }), (numbers) => {
        const [
          requests = 0,
          good = 0,
          serverErrors = 0,
          connectionErrors,
          responseErrors,
          retries,
          redispatches,
        ] = numbers;
        const each = counts({
          requests,
          answered: good + serverErrors,
          serverErrors,
          ...{ connectionErrors, responseErrors, retries, redispatches },
        });

        expect(badRequests(each)).toBeLessThanOrEqual(settledRequests(each));
        expect(settledRequests(each)).toBeLessThanOrEqual(requests);
      }),
    );
  });
});

test("a request that hangs is not settled", () => {
  expect(settledRequests(counts({ requests: 30, answered: 4 }))).toBe(4);
});

describe("a counting window", () => {
  test("counts from its beginning only", () => {
    const window = new CountingWindow(reading({ requests: 1000, serverErrors: 194 }));

    window.add(reading({ requests: 1010, serverErrors: 195 }));
    window.add(reading({ requests: 1030, serverErrors: 197 }));

    expect(window.counts("green")).toMatchObject({ requests: 30, serverErrors: 3 });
  });

  test("goes on over a restart of the balancer, also when only another version's counters show it", () => {
    const window = new CountingWindow(reading({ requests: 5 }, { requests: 5000 }));
    window.add(reading({ requests: 15 }, { requests: 5100 }));

    window.add(reading({ requests: 20 }, { requests: 80 }));

    expect(window.restarts).toBe(1);
    expect(window.counts("green").requests).toBe(10 + 20);
    expect(window.requests).toBe(10 + 20 + 100 + 80);
  });

  test("notices a restart by the process, also when the new counters are past the old ones already", () => {
    const window = new CountingWindow(reading({ requests: 5 }));

    window.add(reading({ requests: 40 }, {}, "8"));

    expect(window.restarts).toBe(1);
    expect(window.counts("green").requests).toBe(40);
  });

  test("never counts backwards, whatever the balancer shows", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { minLength: 1 }), (shown) => {
        const window = new CountingWindow(reading({ requests: 250 }));
        let earlier = 0;
        for (const requests of shown) {
          window.add(reading({ requests }));
          expect(window.counts("green").requests).toBeGreaterThanOrEqual(earlier);
          earlier = window.counts("green").requests;
        }
      }),
    );
  });
});
