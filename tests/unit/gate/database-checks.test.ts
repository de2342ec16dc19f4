import { describe, expect, it } from "vitest";
import type { Json } from "../../../src/core/errors.ts";
import { parseThreshold } from "../../../src/core/threshold.ts";
import { bloatCheck } from "../../../src/gate/kinds/bloat-check.ts";
import { diskCheck } from "../../../src/gate/kinds/disk-check.ts";
import { replicationLagCheck } from "../../../src/gate/kinds/replication-lag-check.ts";
import type { Check } from "../../../src/run/check.ts";

function judged(check: Check, evidence: Json, settings: object, fail?: string) {
  const limits = { fail: fail === undefined ? undefined : parseThreshold(fail), warn: undefined };
  return check.judge({ value: null, shown: "", evidence }, check.input.parse(settings), limits);
}

describe("a standby that is known to be 5 to 60 seconds behind", () => {
  const standby = {
    ...{ name: "east", address: null, state: "streaming", syncState: "async", paused: false },
    ...{ lagBytes: 1024, atLeastMs: 5000, atMostMs: 60_000 },
  };
  const evidence = { askedAt: "primary", standbys: [standby], missing: [], slots: [] };

  it.each([
    ["> 4s", "fail"],
    [">= 5s", "fail"],
    ["> 5s", "unknown"],
    ["> 59s", "unknown"],
    ["> 60s", "pass"],
    [">= 60s", "unknown"],
    ["> 1KB", "fail"],
    ["> 1KiB", "pass"],
  ])("is for the limit %s: %s", (limit, status) => {
    expect(judged(replicationLagCheck, evidence, {}, limit).status).toBe(status);
  });

  it("warns where it may be beyond a limit that only warns", () => {
    const limits = { fail: undefined, warn: parseThreshold("> 10s") };
    const measurement = { value: null, shown: "", evidence };

    expect(replicationLagCheck.judge(measurement, replicationLagCheck.input.parse({}), limits)).toEqual({
      status: "warn",
      reason: "east is at most 1m 00s and 1.0 KiB behind, limit > 10s",
    });
  });

  it("fails whatever the limit where a slot is lost, and where the standby has no primary", () => {
    const slot = { name: "west", type: "physical", active: false, walStatus: "lost", keptBytes: null };
    const alone = { ...standby, name: "this standby", state: "not connected", lagBytes: null };

    expect(judged(replicationLagCheck, { ...evidence, slots: [slot] }, {}, "> 1h")).toEqual({
      status: "fail",
      reason: "slot west is lost: its reader has to begin anew",
    });
    expect(judged(replicationLagCheck, { ...evidence, standbys: [alone] }, {}, "> 1h")).toMatchObject({
      status: "fail",
    });
    expect(
      judged(replicationLagCheck, { ...evidence, standbys: [{ ...alone, state: "archive" }] }, {}, "> 1GiB")
        .status,
    ).toBe("unknown");
  });
});

describe("transaction numbers", () => {
  const bloat = (xidAge: number, usedPercent: number): Json => ({
    ...{ looked: 0, tables: [], uncounted: [], autovacuum: true, trackCounts: true, measured: null },
    wraparound: {
      ...{ database: "shop", xidAge, multixactAge: 0, usedPercent, relation: null },
      ...{ xidFreezeAge: 200_000_000, multixactFreezeAge: 400_000_000 },
    },
  });

  it.each([
    [150_000_000, 7, "pass"],
    [310_000_000, 14.4, "warn"],
    [1_100_000_000, 51.2, "fail"],
  ])("of an age of %i: %s", (age, percent, status) => {
    const { status: found, reason } = judged(bloatCheck, bloat(age, percent), {});

    expect(found).toBe(status);
    expect(reason).toContain(`${percent}% of the transaction numbers are in use in database shop`);
  });
});

describe("the disk of a server elsewhere", () => {
  const evidence = {
    rooms: null,
    server: { walBytes: 2 ** 30, maxWalBytes: 2 ** 30, databasesBytes: 2 ** 40 },
  };

  it.each([
    [{}, undefined, "unknown"],
    [{ "wal-size": "2GiB" }, undefined, "pass"],
    [{ "wal-size": "2GiB" }, "< 10%", "unknown"],
    [{ "wal-size": "512MiB" }, "< 10%", "fail"],
  ])("with %o and the limit %s is %s", (settings, limit, status) => {
    expect(judged(diskCheck, evidence, { database: "main", ...settings }, limit).status).toBe(status);
  });

  it("says that it cannot be seen, and where it can", () => {
    expect(judged(diskCheck, evidence, { database: "main" }).reason).toMatch(
      /^the disk of the server of main cannot be seen from here: .*Prometheus/,
    );
  });
});

it("inodes run out before bytes do, and a disk with errors is mounted without writing", () => {
  const room = {
    ...{ path: "/data", device: 1, freeBytes: 2 ** 30, totalBytes: 2 ** 31, freePercent: 50 },
    ...{ freeInodesPercent: 2, isReadOnly: false, isMounted: true },
  };
  const disk = (changes: object) =>
    judged(diskCheck, { rooms: [{ ...room, ...changes }], server: null }, { path: "/data" });

  expect(disk({})).toEqual({ status: "fail", reason: "/data has 2% of its inodes free, limit < 5%" });
  expect(disk({ freeInodesPercent: null })).toMatchObject({ status: "pass" });
  expect(disk({ freeInodesPercent: null, isReadOnly: true })).toEqual({
    status: "fail",
    reason: "/data is mounted without writing",
  });
});
