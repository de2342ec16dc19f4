import { describe, expect, it } from "vitest";
import { parseLsn } from "../../../src/wal-archive/lsn.ts";
import { parseHistory } from "../../../src/wal-archive/timeline-history.ts";

describe("a timeline's history", () => {
  it("names the ancestors, oldest first", () => {
    const text =
      "1\t0/30000A0\tno recovery target specified\n\n# a remark\n2\t1/5000000\tbefore 2026-11-21\n";

    expect(parseHistory(text)).toEqual([
      { timeline: 1, until: parseLsn("0/30000A0") },
      { timeline: 2, until: parseLsn("1/5000000") },
    ]);
  });

  it.each(["1 x", "nonsense", "2\t0/1\t\n1\t0/2\t\n"])("%j is none", (text) => {
    expect(parseHistory(text)).toBeUndefined();
  });
});
