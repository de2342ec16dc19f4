import { describe, expect, it } from "vitest";
import { type Lsn, lsn, parseLsn } from "../../../src/wal-archive/lsn.ts";
import type { TimelineHistory } from "../../../src/wal-archive/timeline-history.ts";
import { restorableWindows, type WindowBase } from "../../../src/wal-archive/window.ts";

const segmentBytes = 2 ** 24;
/** The position in the middle of a segment. */
const inside = (number: number): Lsn => lsn(BigInt(number) * BigInt(segmentBytes) + 0x800000n);
const at = (number: number): Lsn => lsn(BigInt(number) * BigInt(segmentBytes));
const base = (id: string, start: number, stop = start, timeline = 1): WindowBase => ({
  id,
  timeline,
  start: lsn(inside(start) - 0x1000n),
  stop: inside(stop),
});

function archive(
  segments: Record<number, readonly number[]>,
  bases: readonly WindowBase[],
  histories: Record<number, TimelineHistory> = {},
) {
  return restorableWindows({
    segmentBytes,
    bases,
    segments: new Map(
      Object.entries(segments).map(([timeline, numbers]) => [Number(timeline), new Set(numbers.map(BigInt))]),
    ),
    histories: new Map(Object.entries(histories).map(([timeline, each]) => [Number(timeline), each])),
  });
}

describe("the restorable windows", () => {
  it("reach from the end of a base backup to the end of the log behind it", () => {
    expect(archive({ 1: [1, 2, 3, 4] }, [base("a", 2, 3)])).toEqual([
      {
        timeline: 1,
        windows: [{ timeline: 1, from: inside(3), until: at(5), bases: ["a"] }],
        gaps: [],
        archivedUntil: at(5),
      },
    ]);
  });

  it("are one where base backups reach each other", () => {
    const [report] = archive({ 1: [1, 2, 3, 4] }, [base("b", 3), base("a", 1)]);

    expect(report?.windows).toEqual([{ timeline: 1, from: inside(1), until: at(5), bases: ["a", "b"] }]);
  });

  it("end at a gap, which is named, and begin again with the next base backup", () => {
    const [report] = archive({ 1: [1, 2, 5, 6] }, [base("a", 1), base("b", 5)]);

    expect(report?.windows).toEqual([
      { timeline: 1, from: inside(1), until: at(3), bases: ["a"] },
      { timeline: 1, from: inside(5), until: at(7), bases: ["b"] },
    ]);
    expect(report?.gaps).toEqual([
      { timeline: 1, first: "000000010000000000000003", last: "000000010000000000000004", count: 2 },
    ]);
  });

  it("leave out a base backup whose own log is not whole", () => {
    expect(archive({ 1: [1, 3] }, [base("a", 1, 3)])[0]?.windows).toEqual([]);
    expect(archive({}, [base("a", 1)])[0]?.windows).toEqual([]);
  });

  it("follow a timeline from its ancestor, whose own log may go on", () => {
    const left = parseLsn("0/3800000");
    const reports = archive({ 1: [1, 2, 3, 4], 2: [3, 4, 5] }, [base("a", 1), base("b", 4, 4, 2)], {
      2: [{ timeline: 1, until: left }],
    });

    expect(reports.map((each) => each.windows)).toEqual([
      [{ timeline: 1, from: inside(1), until: at(5), bases: ["a"] }],
      [{ timeline: 2, from: inside(1), until: at(6), bases: ["a", "b"] }],
    ]);
  });

  it("do not follow it from a base backup made after it was left", () => {
    const reports = archive({ 1: [1, 2, 3, 4, 5], 2: [3, 4] }, [base("late", 4)], {
      2: [{ timeline: 1, until: parseLsn("0/3800000") }],
    });

    expect(reports[1]?.windows).toEqual([]);
  });

  it("end where the timeline was left while the new one has not archived that segment", () => {
    const left = parseLsn("0/3C00000");
    const reports = archive({ 1: [1, 2, 3], 2: [4] }, [base("a", 1)], { 2: [{ timeline: 1, until: left }] });

    expect(reports[1]?.windows).toEqual([{ timeline: 2, from: inside(1), until: left, bases: ["a"] }]);
  });
});
