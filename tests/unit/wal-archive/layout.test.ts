import { describe, expect, it } from "vitest";
import { archivedName, liveObject, sumObject, walObject } from "../../../src/wal-archive/layout.ts";

const segment = "0000000200000000000000A1";

describe("names in a store", () => {
  it("have the timeline as a folder", () => {
    expect(walObject("main", segment, ".age")).toBe(`pitr/main/wal/00000002/${segment}.zst.age`);
    expect(walObject("main", "00000002.history", ".aes")).toBe(
      "pitr/main/wal/00000002/00000002.history.zst.aes",
    );
    expect(sumObject("main", segment)).toBe(`pitr/main/sum/00000002/${segment}`);
    expect(liveObject("main", segment, 8192, 65_536, ".age")).toBe(
      `pitr/main/live/00000002/${segment}-00002000-00010000.zst.age`,
    );
  });

  it.each([segment, `${segment}.partial`, `${segment}.00000028.backup`, "00000002.history"])(
    "%s is read as it was written",
    (file) => {
      expect(archivedName("main", walObject("main", file, ".age"))).toEqual({ file, suffix: ".age" });
    },
  );

  it.each([
    `pitr/other/wal/00000002/${segment}.zst.age`,
    `pitr/main/wal/00000001/${segment}.zst.age`,
    `pitr/main/wal/00000002/${segment}`,
    "pitr/main/cluster.json",
  ])("%s is no archived file of main", (object) => {
    expect(archivedName("main", object)).toBeUndefined();
  });
});
