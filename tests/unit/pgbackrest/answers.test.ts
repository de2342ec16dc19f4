import { describe, expect, it } from "vitest";
import { segmentBytesOf } from "../../../src/pgbackrest/archived-wal.ts";
import { complaintOf, failureOf } from "../../../src/pgbackrest/failure.ts";
import type { StanzaBackup } from "../../../src/pgbackrest/info.ts";
import { percentOf } from "../../../src/pgbackrest/progress.ts";

const target = {
  engine: "pgbackrest",
  command: "pgbackrest",
  config: undefined,
  stanza: "shop",
  repository: 1,
  restorePoints: "require",
} as const;

describe("progress in pgBackRest's log", () => {
  it.each([
    ["P01 DETAIL: backup file /data/base/5/1255 (768KB, 2.95%) checksum 46f8", 2.95],
    ["P12 DETAIL: restore file /data/base/a (b)/1255 (1.2GB, 100%) checksum 46f8", 100],
    ["P00   INFO: check archive for segment(s) 2:2", undefined],
    ["P01 DETAIL: match file from prior backup /data/PG_VERSION (3B, 1%)", undefined],
  ])("%s", (line, percent) => {
    expect(percentOf(line)).toBe(percent);
  });
});

describe("an error of pgBackRest", () => {
  it.each([
    [50, "E_LOCK_HELD", 6],
    [51, "E_WAL_FOREIGN", 1],
    [75, "E_BACKUP_MISSING", 2],
    [82, "E_WAL_MISSING", 1],
    [37, "E_PGBACKREST", 2],
    [124, "E_PGBACKREST", 1],
  ])("with exit code %i is %s", (exitCode, code, ours) => {
    const error = failureOf(
      target,
      "backup",
      exitCode,
      "P00  ERROR: [000]: it is so\n            HINT: try that",
    );

    expect(error).toMatchObject({ code, exitCode: ours, cause: new Error("it is so") });
    expect(error.message).toContain(`exit code ${exitCode}`);
    expect(error.hint).not.toBe("");
  });

  it("is shown in a few printable lines", () => {
    expect(
      complaintOf(`ERROR: [029]: first\nHINT: no\nsecond \u0001\u0002bytes \uFFFDrest\nthird\nfourth`),
    ).toBe("first; second  bytes");
    expect(complaintOf("x".repeat(9000)).length).toBeLessThan(500);
    expect(complaintOf("")).toBe("it said nothing");
  });
});

describe("the size of a segment", () => {
  const backup = (startSegment: string, startLsn: string) => ({ startSegment, startLsn }) as StanzaBackup;

  it.each([
    ["000000010000000000000002", "0/2000028", 16],
    ["000000010000000A00000003", "A/C000028", 64],
    ["0000000100000000000000FF", "0/FF00028", 1],
    ["000000010000000000000001", "0/7FFFFFF8", 1024],
    // The first one of 4 GiB says nothing.
    ["000000010000000A00000000", "A/28", 16],
  ])("of %s at %s is %i MiB", (segment, lsn, mebibytes) => {
    expect(segmentBytesOf([backup("000000010000000A00000000", "A/28"), backup(segment, lsn)])).toBe(
      mebibytes * 2 ** 20,
    );
  });
});
