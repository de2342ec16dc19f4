import { describe, expect, it } from "vitest";
import type { ArchiveState } from "../../../src/pitr/archive-state.ts";
import { randomMoment, wayToTheEnd } from "../../../src/pitr/drill-moment.ts";
import { commitTimes } from "../../../src/pitr/newest-commit.ts";

const now = new Date("2026-11-21T15:00:00Z");

function archive(bases: readonly (readonly [string, string, string])[], segments: number): ArchiveState {
  return {
    bases: bases.map(([id, lsn, stoppedAt]) => ({
      id,
      systemIdentifier: "1",
      serverVersion: "15.18",
      segmentBytes: 2 ** 24,
      timeline: 1,
      startLsn: lsn,
      stopLsn: lsn,
      stoppedAt,
      nextTransaction: "1",
      plainBytes: 0,
    })),
    broken: [],
    segments: new Set(
      Array.from(
        { length: segments },
        (_, index) => `0000000100000000${index.toString(16).padStart(8, "0").toUpperCase()}`,
      ),
    ),
    live: new Map(),
    histories: new Map(),
  };
}

const two = archive(
  [
    ["newer", "0/3000028", "2026-11-21T12:00:00.000Z"],
    ["older", "0/1000028", "2026-11-21T10:00:00.000Z"],
  ],
  6,
);

describe("a random moment", () => {
  const latest = wayToTheEnd("main", two, now);
  const commit = "2026-11-21T14:00:00.000Z";

  it.each([
    [0, "2026-11-21T10:00:00.000Z"],
    [0.5, "2026-11-21T12:00:00.000Z"],
    [1, "2026-11-21T13:59:59.999Z"],
  ])("is between the oldest base backup and the newest commit: %d of the way", (share, time) => {
    const random = (below: number) => Math.min(below - 1, Math.floor(below * share));

    expect(randomMoment(two, latest, commit, random)).toEqual({ kind: "time", time });
  });

  it("is the end of the archive where no commit is known, or none is behind the base backup", () => {
    expect(randomMoment(two, latest, null)).toEqual({ kind: "latest" });
    expect(randomMoment(two, latest, "2026-11-21T09:00:00.000Z")).toEqual({ kind: "latest" });
  });
});

it("commits are read from what pg_waldump lists", () => {
  const listed = [
    "rmgr: Transaction len (rec/tot):     34/    34, tx:        740, lsn: 0/03000148, prev 0/03000110, desc: COMMIT 2026-11-21 14:00:00.123456 UTC",
    "rmgr: Transaction len (rec/tot):     34/    34, tx:        741, lsn: 0/03000170, prev 0/03000148, desc: ABORT 2026-11-21 14:00:01.000000 UTC",
    "rmgr: Transaction len (rec/tot):    100/   100, tx:        742, lsn: 0/03000198, prev 0/03000170, desc: COMMIT 2026-11-21 14:00:02.999999 UTC; inval msgs: catcache 50",
    "rmgr: Transaction len (rec/tot):    100/   100, tx:          0, lsn: 0/03000200, prev 0/03000198, desc: COMMIT_PREPARED 743: 2026-11-21 14:00:03.500000 UTC",
  ].join("\n");

  expect(commitTimes(listed).map((each) => each.toISOString())).toEqual([
    "2026-11-21T14:00:00.123Z",
    "2026-11-21T14:00:02.999Z",
    "2026-11-21T14:00:03.500Z",
  ]);
});
