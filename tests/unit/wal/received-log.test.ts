import { describe, expect, it } from "vitest";
import { ReceivedLog } from "../../../src/wal/received-log.ts";
import { formatLsn, lsn, parseLsn } from "../../../src/wal-archive/lsn.ts";

const size = 2 ** 20;
const start = parseLsn("0/FFF00000");

describe("a received log", () => {
  it("is cut into segments, over the end of 4 GiB too", () => {
    const log = new ReceivedLog(3, start, size);
    const bytes = Buffer.alloc(2 * size + 10, 7);

    log.accept(start, bytes.subarray(0, 100));
    log.accept(lsn(start + 100n), bytes.subarray(100));

    expect(log.whole.map((each) => [each.file, formatLsn(each.start), formatLsn(each.end)])).toEqual([
      ["000000030000000000000FFF", "0/FFF00000", "1/0"],
      ["000000030000000100000000", "1/0", "1/100000"],
    ]);
    expect(log.whole.every((each) => each.content.equals(Buffer.alloc(size, 7)))).toBe(true);
    expect(formatLsn(log.position)).toBe("1/10000A");
  });

  it("gives of the open segment what is new", () => {
    const log = new ReceivedLog(1, start, size);
    log.accept(start, Buffer.from("0123456789"));

    expect(log.openPart(start)).toMatchObject({ from: 0, content: Buffer.from("0123456789") });
    expect(log.openPart(lsn(start + 4n))).toMatchObject({ from: 4, content: Buffer.from("456789") });
    expect(log.openPart(log.position)).toBeUndefined();
  });

  it("refuses what does not follow", () => {
    const log = new ReceivedLog(1, start, size);

    expect(() => log.accept(lsn(start + 1n), Buffer.from("1"))).toThrow(/instead of 0\/FFF00000/);
  });
});
