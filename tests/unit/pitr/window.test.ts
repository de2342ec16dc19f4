import { describe, expect, it } from "vitest";
import { gapsOf, windowsOf } from "../../../src/pitr/window.ts";
import { parseLsn } from "../../../src/wal-archive/lsn.ts";
import { archive, at, base, segmentOf, segments } from "./archive.ts";

const shown = (id: string) => id.slice(-4);

describe("the window", () => {
  it("reaches from the end of a base backup to the end of the log behind it", () => {
    const { windows, useless } = windowsOf(archive({ bases: [base(2, 5)], wal: segments(1, 4) }));

    expect(windows).toMatchObject([{ timeline: 1, fromLsn: at(2, 400), untilLsn: at(5), missing: null }]);
    expect(useless).toEqual([]);
  });

  it("is one where base backups reach each other", () => {
    const { windows } = windowsOf(archive({ bases: [base(4, 1), base(2, 5)], wal: segments(1, 6) }));

    expect(windows).toMatchObject([{ fromLsn: at(2, 400), untilLsn: at(7) }]);
    expect(windows[0]?.bases.map(shown)).toEqual(["0002", "0004"].reverse());
  });

  it("ends at a gap, which is named, and begins again with the next base backup", () => {
    const wal = segments(1, 8).filter((each) => each !== segmentOf(5));
    const { windows } = windowsOf(archive({ bases: [base(7, 1), base(2, 5)], wal }));

    expect(windows).toMatchObject([
      { fromLsn: at(7, 400), untilLsn: at(9), missing: null },
      { fromLsn: at(2, 400), untilLsn: at(5), missing: segmentOf(5) },
    ]);
  });

  it("names every gap, also those that no base backup leads to", () => {
    const wal = [...segments(1, 3), ...segments(5, 6), ...segments(10, 12)];

    expect(gapsOf(archive({ bases: [base(2, 5)], wal }))).toEqual([
      { first: segmentOf(4), last: segmentOf(4), count: 1 },
      { first: segmentOf(7), last: segmentOf(9), count: 3 },
    ]);
  });

  it("leaves out a base backup whose own log is not there", () => {
    const { windows, useless } = windowsOf(
      archive({ bases: [base(3, 1)], wal: [...segments(1, 2), segmentOf(4)] }),
    );

    expect(windows).toEqual([]);
    expect(useless).toEqual([{ base: base(3, 1).id, reason: `WAL ${segmentOf(3)} is not in the archive` }]);
  });

  it("follows a timeline from its ancestor, whose own log may go on", () => {
    const histories = new Map([[2, [{ timeline: 1, until: parseLsn(at(4, 100)) }]]]);
    const wal = [...segments(1, 6), ...segments(4, 8, 2)];
    const { windows } = windowsOf(archive({ bases: [base(5, 1), base(2, 5)], histories, wal }));

    expect(
      windows.map(({ timeline, untilLsn, bases }) => ({ timeline, untilLsn, bases: bases.map(shown) })),
    ).toEqual([
      { timeline: 2, untilLsn: at(9), bases: ["0002"] },
      // Made after the timeline was left, it leads to the old one only.
      { timeline: 1, untilLsn: at(7), bases: ["0005", "0002"] },
    ]);
  });

  it("ends where a timeline lacks what came before it was left, and names that", () => {
    const histories = new Map([[2, [{ timeline: 1, until: parseLsn(at(5, 100)) }]]]);
    const wal = [...segments(1, 3), ...segments(5, 8, 2)];
    const { windows } = windowsOf(archive({ bases: [base(2, 5)], histories, wal }));

    expect(windows).toMatchObject([
      { timeline: 2, untilLsn: at(4), missing: segmentOf(4) },
      { timeline: 1, untilLsn: at(4) },
    ]);
  });
});
