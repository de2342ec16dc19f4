import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CronExpression } from "../../../src/core/cron-expression.ts";
import { decide, nextStart, onTime, startOf, type Timing } from "../../../src/schedule/due.ts";

const minute = 60_000;
const hour = 60 * minute;
const daily: Timing = {
  cron: new CronExpression("0 3 * * *", "UTC"),
  jitter: 0,
  seed: "host/production/nightly",
  catchUp: true,
  catchUpWithin: 24 * hour,
};
const at = (text: string) => new Date(`2026-05-${text}Z`);
const handled = at("10T03:00:00").getTime();

describe("what is due", () => {
  it("waits until the time has come", () => {
    expect(decide(daily, handled, at("11T02:59:59"))).toEqual({ kind: "wait" });
  });

  it("runs at the time", () => {
    const dueAt = at("11T03:00:00").getTime();
    expect(decide(daily, handled, at("11T03:00:02"))).toEqual({ kind: "run", dueAt, late: 2000 });
  });

  it("runs once what was missed several times", () => {
    const dueAt = at("14T03:00:00").getTime();
    expect(decide(daily, handled, at("14T09:00:00"))).toEqual({ kind: "run", dueAt, late: 6 * hour });
    expect(decide(daily, dueAt, at("14T09:01:00"))).toEqual({ kind: "wait" });
  });

  it("does not catch up later than it may", () => {
    const weekly = { ...daily, cron: new CronExpression("0 3 * * 1", "UTC") };
    expect(decide(weekly, handled, at("12T03:00:01"))).toMatchObject({
      kind: "missed",
      late: 24 * hour + 1000,
    });
  });

  it("without catch-up runs only what is on time", () => {
    const strict = { ...daily, catchUp: false };
    expect(decide(strict, handled, at("11T03:05:00"))).toMatchObject({ kind: "run" });
    expect(decide(strict, handled, at("11T03:05:01"))).toMatchObject({ kind: "missed" });
  });
});

const expression = fc.constantFrom("* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "0 3 * * 1-5");
const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York");
const start = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) });

describe("ticks every minute", () => {
  it("run every time exactly once and none early, whatever the jitter", () => {
    fc.assert(
      fc.property(
        expression,
        zone,
        start,
        fc.integer({ min: 0, max: 4 * minute }),
        fc.string(),
        (text, timezone, from, jitter, seed) => {
          // More than that does not fit between two runs, and the configuration refuses it.
          const fits = text === "* * * * *" ? 0 : jitter;
          const timing = { ...daily, cron: new CronExpression(text, timezone), jitter: fits, seed };
          const ran: number[] = [];
          let done = from;
          for (let now = from; now < from + 26 * hour; now += minute) {
            const decision = decide(timing, done, new Date(now));
            if (decision.kind === "wait") continue;
            expect(decision.kind).toBe("run");
            expect(now).toBeGreaterThanOrEqual(startOf(timing, decision.dueAt));
            ran.push(decision.dueAt);
            done = decision.dueAt;
          }
          const expected = timing.cron
            .next(new Date(from), 2000)
            .map((each) => each.getTime())
            .filter((each) => each < from + 26 * hour);
          // The last one may still wait for its jitter.
          expect(expected.slice(0, ran.length)).toEqual(ran);
          expect(expected.length - ran.length).toBeLessThanOrEqual(2);
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("jitter", () => {
  const jittered = { ...daily, jitter: 10 * minute };

  it("is within its limit, and the same whenever it is asked", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4e12 }),
        fc.string(),
        fc.integer({ min: 0, max: 24 * hour }),
        (dueAt, seed, jitter) => {
          const timing = { ...daily, seed, jitter };
          const delay = startOf(timing, dueAt) - dueAt;

          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(jitter);
          expect(startOf({ ...timing }, dueAt) - dueAt).toBe(delay);
        },
      ),
    );
  });

  it("is another one on another machine and at another time", () => {
    const delays = new Set(
      Array.from({ length: 20 }, (_, index) => startOf({ ...jittered, seed: `host${index}` }, handled)),
    );
    expect(delays.size).toBeGreaterThan(15);
  });

  it("puts the whole tolerance for lateness behind it", () => {
    const strict = { ...jittered, catchUp: false };
    const dueAt = at("11T03:00:00").getTime();
    const begins = startOf(strict, dueAt);
    expect(decide(strict, handled, new Date(begins - 1))).toEqual({ kind: "wait" });
    expect(decide(strict, handled, new Date(begins + onTime))).toMatchObject({ kind: "run" });
  });

  it("is in the next start that is shown, also while it passes", () => {
    const dueAt = at("11T03:00:00").getTime();
    const startsAt = startOf(jittered, dueAt);
    expect(nextStart(jittered, at("11T02:00:00"))).toEqual({ dueAt, startsAt });
    expect(nextStart(jittered, new Date(startsAt - 1))).toEqual({ dueAt, startsAt });
    expect(nextStart(jittered, new Date(startsAt))?.dueAt).toBe(dueAt + 24 * hour);
  });
});
