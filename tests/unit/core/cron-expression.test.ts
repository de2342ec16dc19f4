import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CronExpression } from "../../../src/core/cron-expression.ts";

const next = (text: string, timezone: string, after: string, count: number) =>
  new CronExpression(text, timezone).next(new Date(after), count).map((each) => each.toISOString());

describe("the night on which the clock is put forward (Berlin, 2026-03-29, 02:00 becomes 03:00)", () => {
  it("runs a time that does not exist right after the change, once", () => {
    expect(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2)).toEqual([
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T00:30:00.000Z",
    ]);
  });

  it("goes on every hour without a double or a gap", () => {
    expect(next("0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", 4)).toEqual([
      "2026-03-29T00:00:00.000Z",
      "2026-03-29T01:00:00.000Z",
      "2026-03-29T02:00:00.000Z",
      "2026-03-29T03:00:00.000Z",
    ]);
  });
});

describe("the night on which the clock is put back (Berlin, 2026-10-25, 03:00 becomes 02:00)", () => {
  it("runs a time that comes twice once", () => {
    expect(next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)).toEqual([
      "2026-10-25T00:30:00.000Z",
      "2026-10-26T01:30:00.000Z",
    ]);
  });

  it("goes on every hour through both", () => {
    expect(next("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4)).toEqual([
      "2026-10-25T00:00:00.000Z",
      "2026-10-25T01:00:00.000Z",
      "2026-10-25T02:00:00.000Z",
      "2026-10-25T03:00:00.000Z",
    ]);
  });
});

const expressions = [
  "* * * * *",
  "*/7 * * * *",
  "30 2 * * *",
  "0 */6 * * 1-5",
  "15 3 1 * *",
  "0 0 * * 0",
  "@daily",
];
const moment = fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2028, 0, 1) });

it("looks back at what looking forward has shown", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...expressions),
      fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
      moment,
      (text, timezone, at) => {
        const cron = new CronExpression(text, timezone);
        const times = cron.next(new Date(at), 6);
        const last = times.at(-1) as Date;
        const back = [...cron.latest(last, new Date(at))].reverse();

        expect(back).toEqual(times);
      },
    ),
    { numRuns: 150 },
  );
});

it("finds the newest time however long ago it is looked for", () => {
  const [newest] = new CronExpression("0 0 29 2 *", "UTC").latest(
    new Date("2027-12-31T00:00:00Z"),
    new Date(0),
  );

  expect(newest?.toISOString()).toBe("2024-02-29T00:00:00.000Z");
});

it("knows the pause over a weekend", () => {
  const cron = new CronExpression("0 3 * * 1-5", "UTC");

  expect(cron.longestPause(new Date("2026-01-01T00:00:00Z"))).toBe(3 * 86_400_000);
  expect(cron.shortestPause(new Date("2026-01-01T00:00:00Z"))).toBe(86_400_000);
});

it.each([
  ["0 25 * * *", "UTC", /hour/],
  ["0 3 * *", "UTC", /five fields/],
  ["0 0 3 * * *", "UTC", /five fields/],
  ["", "UTC", /five fields/],
  ["@reboot", "UTC", /no time/],
  ["2026-12-01T00:00:00Z", "UTC", /date/],
  ["0 0 30 2 *", "UTC", /never comes/],
  ["0 3 * * *", "Europe/Berln", /time zone/],
])("refuses %j in %s", (text, timezone, message) => {
  expect(() => new CronExpression(text, timezone)).toThrow(
    expect.objectContaining({ code: "E_CRON", exitCode: 2, message: expect.stringMatching(message) }),
  );
});
