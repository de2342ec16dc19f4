import { describe, expect, it } from "vitest";
import { reportTimelines } from "../../../src/wal-archive/gaps.ts";
import { formatLsn } from "../../../src/wal-archive/lsn.ts";

const reported = (segments: Record<number, readonly bigint[]>) =>
  reportTimelines(
    new Map(Object.entries(segments).map(([timeline, numbers]) => [Number(timeline), new Set(numbers)])),
    2 ** 24,
  ).map(({ archivedUntil, ...rest }) => ({ ...rest, archivedUntil: formatLsn(archivedUntil) }));

describe("what is archived of a timeline", () => {
  it("ends behind its last segment, whatever the order of the listing", () => {
    expect(reported({ 1: [3n, 1n, 2n] })).toEqual([
      { timeline: 1, segments: 3, gaps: [], archivedUntil: "0/4000000" },
    ]);
  });

  it("has gaps, each with its first and its last segment, across the border of a log too", () => {
    expect(reported({ 2: [254n, 258n, 260n], 1: [7n] })).toEqual([
      { timeline: 1, segments: 1, gaps: [], archivedUntil: "0/8000000" },
      {
        timeline: 2,
        segments: 3,
        gaps: [
          { first: "0000000200000000000000FF", last: "000000020000000100000001", count: 3 },
          { first: "000000020000000100000003", last: "000000020000000100000003", count: 1 },
        ],
        archivedUntil: "1/5000000",
      },
    ]);
  });
});
