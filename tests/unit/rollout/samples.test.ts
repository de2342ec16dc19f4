import { expect, test } from "vitest";
import { noCounts } from "../../../src/request-source/counters.ts";
import { ResponseTimes } from "../../../src/request-source/response-times.ts";
import type { Finding } from "../../../src/rollout/comparison.ts";
import type { Reading } from "../../../src/rollout/reading.ts";
import { CanarySamples } from "../../../src/rollout/samples.ts";

/** Counters of blue and green since the beginning: requests, bad ones. */
function reading(blue: [number, number], green: [number, number], meanResponse?: number): Reading {
  return [["blue", 90, blue] as const, ["green", 10, green] as const].map(
    ([version, weight, [requests, serverErrors]]) => ({
      version,
      server: version,
      weight,
      health: "up" as const,
      status: "UP",
      process: "1",
      counters: { ...noCounts, requests, answered: requests, serverErrors },
      ...(meanResponse === undefined ? {} : { meanResponse }),
    }),
  );
}

const finding = (of: Finding["of"], evidence: number): Finding => ({
  of,
  evidence,
  threshold: 200,
  ratio: 1,
  requests: 1,
  bad: 1,
  besideRequests: 1,
  besideBad: 1,
  limit: null,
});

function timesOf(...milliseconds: number[]): ResponseTimes {
  const times = new ResponseTimes();
  for (const each of milliseconds) times.add(each);
  return times;
}

const now = new Date("2026-01-01T00:00:02.000Z");

test("a sample has what each version did since the one before, not since the step began", () => {
  const samples = new CanarySamples(2000, 0, reading([1000, 0], [100, 0]), "traffic");

  expect(samples.add(1000, now, reading([1090, 9], [110, 0]), undefined, [])).toBeUndefined();
  expect(samples.add(2000, now, reading([1180, 18], [120, 1], 7), undefined, [])).toEqual({
    at: "2026-01-01T00:00:02.000Z",
    measures: [
      { name: "% of traffic", lines: { blue: 90, green: 10 } },
      { name: "requests/s", lines: { blue: 90, green: 10 } },
      { name: "% bad", lines: { blue: 10, green: 5 } },
      { name: "ms on average", lines: { blue: 7, green: 7 } },
    ],
  });
  // Half as long, because it is the last one.
  expect(
    samples.add(3000, now, reading([1180, 18], [130, 1]), undefined, [], true)?.measures.slice(1, 3),
  ).toEqual([
    { name: "requests/s", lines: { blue: 0, green: 10 } },
    { name: "% bad", lines: { blue: null, green: 0 } },
  ]);
});

test("a sample has the p95 of its own time, and the evidence against its limit", () => {
  const samples = new CanarySamples(2000, 0, reading([0, 0], [0, 0]), "users");
  const findings = [finding("errors", 3), finding("slow", 0.5)];

  samples.add(1000, now, reading([0, 0], [2, 0]), new Map([["green", timesOf(500)]]), findings);
  const first = samples.add(2000, now, reading([0, 0], [3, 0]), new Map([["green", timesOf(20)]]), findings);
  const second = samples.add(4000, now, reading([0, 0], [4, 0]), new Map([["green", timesOf(30)]]), findings);

  expect(first?.measures[0]?.name).toBe("% of users");
  expect(first?.measures.slice(3)).toEqual([
    { name: "ms p95", lines: { blue: null, green: 500 } },
    { name: "e-value", scale: "log", limit: 200, lines: { errors: 3, slow: 0.5 } },
  ]);
  expect(second?.measures[3]?.lines).toEqual({ blue: null, green: 30 });
});
