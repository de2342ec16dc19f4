import { expect, it } from "vitest";
import { lsn } from "../../../src/wal-archive/lsn.ts";
import { archiveLag, keptFor } from "../../../src/wal-server/lag.ts";

const size = 2 ** 24;
const at = (segment: number, bytes = 0) => lsn(BigInt(segment) * BigInt(size) + BigInt(bytes));
const minute = 60_000;

/** Writes to segment 8; 6 and 7 are still in pg_wal. */
const server = {
  segmentBytes: size,
  timeline: 1,
  position: "0/8002000",
  receiver: null,
  archiveTimeoutMs: 0,
  failing: null,
  waiting: 0,
  lastArchivedMs: 20 * minute,
  segmentAges: { "000000010000000000000006": 40 * minute, "000000010000000000000007": 30 * minute },
};
const receiver = { slot: "ops_main", active: false, keptBytes: size, restart: "0/7000100", lagMs: 0 };

it("a segment that the server has switched away from and the archive lacks is behind since it was finished", () => {
  const lag = archiveLag(server, at(6));

  expect(lag).toEqual({
    bytes: 2 * size + 0x2000,
    segments: 2,
    missing: "000000010000000000000006",
    ms: 40 * minute,
  });
});

it("one that the server has no more is behind for a time that nobody knows, not for none", () => {
  expect(archiveLag(server, at(5))).toMatchObject({
    segments: 3,
    missing: "000000010000000000000005",
    ms: null,
  });
});

it("the open segment is behind since the last switch, and no longer than archive_timeout allows", () => {
  expect(archiveLag(server, at(8))).toMatchObject({ segments: 0, ms: 30 * minute });
  expect(archiveLag({ ...server, archiveTimeoutMs: minute }, at(8)).ms).toBe(minute);
  // The segment before it has been used again: the newest archived file came from that switch, or from before it.
  expect(archiveLag({ ...server, segmentAges: {} }, at(8)).ms).toBe(20 * minute);
  expect(archiveLag({ ...server, segmentAges: {}, waiting: 1 }, at(8)).ms).toBeNull();
});

it("what a server at rest writes by itself is nobody's change", () => {
  expect(archiveLag({ ...server, position: "0/8000110" }, at(8)).ms).toBe(0);
});

it("a receiver that is connected tells how far it is behind; one that is not hides nothing", () => {
  const connected = { ...receiver, active: true, lagMs: 700, restart: "0/8001000" };

  expect(archiveLag({ ...server, receiver: connected }, at(8, 0x1000)).ms).toBe(700);
  expect(keptFor({ ...server, receiver: connected })).toBe(0);
  expect(archiveLag({ ...server, receiver }, at(8)).ms).toBe(30 * minute);
  expect(keptFor({ ...server, receiver })).toBe(30 * minute);
});
