import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatLsn, lsn, parseLsn } from "../../../src/wal-archive/lsn.ts";
import {
  endOf,
  next,
  ofLsn,
  parseSegment,
  parseWalFile,
  segmentName,
  startOf,
} from "../../../src/wal-archive/segment.ts";

const sizes = fc.integer({ min: 20, max: 30 }).map((power) => 2 ** power);
const timelines = fc.integer({ min: 1, max: 0xffff_ffff });
const positions = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(lsn);

describe("a position in the log", () => {
  it.each([
    ["0/0", 0n],
    ["16/B374D848", 0x16b374d848n],
    ["ffffffff/ffffffff", 0xffff_ffff_ffff_ffffn],
  ])("%s is read", (text, value) => {
    expect(parseLsn(text)).toBe(value);
  });

  it.each(["", "0", "0/", "/0", "0/100000000", "x/1", "1/2/3"])("%j is refused", (text) => {
    expect(() => parseLsn(text)).toThrow(expect.objectContaining({ code: "E_WAL_LSN", exitCode: 2 }));
  });

  it("is read as it was written", () => {
    fc.assert(
      fc.property(positions, (position) => {
        expect(parseLsn(formatLsn(position))).toBe(position);
      }),
    );
  });
});

describe("names of segments", () => {
  it.each([
    // pg_walfile_name() of a server with segments of 16 MiB.
    ["0/1000000", "000000010000000000000001"],
    ["0/1FFFFFF", "000000010000000000000001"],
    ["1/0", "000000010000000100000000"],
    ["16/B374D848", "0000000100000016000000B3"],
  ])("%s is in %s", (position, name) => {
    expect(segmentName(ofLsn(1, parseLsn(position), 2 ** 24), 2 ** 24)).toBe(name);
  });

  it("are read as they were written, for every size", () => {
    fc.assert(
      fc.property(timelines, positions, sizes, (timeline, position, size) => {
        const segment = ofLsn(timeline, position, size);
        const name = segmentName(segment, size);

        expect(name).toMatch(/^[0-9A-F]{24}$/);
        expect(parseSegment(name, size)).toEqual(segment);
        expect(startOf(segment, size) <= position && position < endOf(segment, size)).toBe(true);
      }),
    );
  });

  it("sort as the log goes on", () => {
    const inside = fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }).map(lsn);
    fc.assert(
      fc.property(timelines, inside, sizes, (timeline, position, size) => {
        const segment = ofLsn(timeline, position, size);
        const after = next(segment);

        expect(startOf(after, size)).toBe(endOf(segment, size));
        expect(segmentName(after, size) > segmentName(segment, size)).toBe(true);
      }),
    );
  });

  it("of another size are none", () => {
    expect(parseSegment("0000000100000000000000FF", 2 ** 24)).toBeDefined();
    expect(parseSegment("0000000100000000000000FF", 2 ** 26)).toBeUndefined();
    expect(parseSegment("000000010000000000000100", 2 ** 24)).toBeUndefined();
  });
});

describe("files that PostgreSQL archives", () => {
  it.each([
    ["000000010000000000000001", { kind: "segment", timeline: 1 }],
    ["0000000A0000000000000001.partial", { kind: "partial", timeline: 10 }],
    ["000000010000000000000002.00000028.backup", { kind: "backup", timeline: 1 }],
    ["00000002.history", { kind: "history", timeline: 2 }],
  ])("%s", (name, file) => {
    expect(parseWalFile(name)).toEqual(file);
  });

  it.each([
    "",
    "00000000.history",
    "000000000000000000000001",
    "00000001000000000000000g",
    "00000001000000000000000a",
    "000000010000000000000001.gz",
    "../000000010000000000000001",
    "RECOVERYXLOG",
  ])("%j is none", (name) => {
    expect(parseWalFile(name)).toBeUndefined();
  });
});
