import { expect, test } from "vitest";
import { noCounts } from "../../../src/request-source/counters.ts";
import type { RequestSource } from "../../../src/request-source/request-source.ts";
import { SeriesCounts, type VersionSeries } from "../../../src/request-source/series-counts.ts";
import { withBalancer } from "../../../src/traffic/sources/with-balancer.ts";

type Values = Readonly<Record<string, number>>;
const version = (requests: Values, bad: Values = {}): VersionSeries[] => [
  {
    version: "green",
    requests: new Map(Object.entries(requests)),
    bad: new Map(Object.entries(bad)),
    age: 0,
  },
];

/** Requests and bad ones after each look, with `!` where it began anew. */
function counted(...looks: VersionSeries[][]): string[] {
  const counts = new SeriesCounts("test");
  let process = "";
  return looks.map((look) => {
    const [green] = counts.add(look);
    const anew = process !== "" && green?.process !== process ? "!" : "";
    process = green?.process ?? "";
    return `${green?.counters.requests}/${green?.counters.serverErrors}${anew}`;
  });
}

test("counters of many processes add up, and the first error of one, a new series, counts", () => {
  expect(counted(version({ a: 10, b: 5 }), version({ a: 12, b: 9 }, { a: 1 }))).toEqual(["15/0", "21/1"]);
});

test("one process that starts anew does not make the others' requests count twice", () => {
  expect(counted(version({ a: 1000, b: 5 }), version({ a: 1010, b: 2 }), version({ a: 1010, b: 3 }))).toEqual(
    ["1005/0", "10/0!", "11/0"],
  );
});

test("one that is away for a while goes on from what it had", () => {
  expect(counted(version({ a: 1000, b: 5 }), version({ b: 6 }), version({ a: 1001, b: 6 }))).toEqual([
    "1005/0",
    "1006/0",
    "1007/0",
  ]);
});

test("what went wrong without an answer is a request too", () => {
  expect(counted(version({ a: 10 }), version({ a: 10 }, { retries: 4 }))).toEqual(["10/0", "14/4"]);
});

test("failed checks and the mean come from the balancer, and the checks outlast its restart and its absence", async () => {
  const checks = [2, 5, 1];
  const source: RequestSource = {
    read: async () => [{ version: "green", process: "1", counters: { ...noCounts, requests: 7 } }],
    requireTimes: async () => undefined,
    times: undefined,
  };
  const balancer: RequestSource = {
    ...source,
    read: async () => [
      {
        version: "green",
        process: "2",
        counters: { ...noCounts, failedChecks: checks.shift() ?? 0 },
        meanResponse: 12,
      },
    ],
  };
  const both = withBalancer(source, balancer);
  const seen = [];
  for (let look = 0; look < 3; look += 1) seen.push((await both.read())[0]);

  expect(
    seen.map((each) => [each?.counters.requests, each?.counters.failedChecks, each?.meanResponse]),
  ).toEqual([
    [7, 2, 12],
    [7, 5, 12],
    [7, 6, 12],
  ]);
});
