import { describe, expect, it } from "vitest";
import { isOn, lineOf, reachOf } from "../../../src/pitr/line.ts";
import { recoverySettings } from "../../../src/pitr/recovery-settings.ts";
import type { BaseManifest } from "../../../src/wal-archive/base-manifest.ts";
import { formatLsn, parseLsn } from "../../../src/wal-archive/lsn.ts";

const segmentBytes = 16 * 1024 * 1024;
/** Left timeline 1 in the middle of segment 5. */
const line = lineOf(2, [{ timeline: 1, until: parseLsn("0/5800000") }]);
const base = { timeline: 1, startLsn: "0/3000028", stopLsn: "0/3000100", segmentBytes } as BaseManifest;
const segment = (timeline: number, number: number) =>
  [timeline, 0, number].map((each) => each.toString(16).toUpperCase().padStart(8, "0")).join("");
const archive = (segments: ReadonlySet<string>, live: Record<string, number> = {}) => ({
  segments,
  live: new Map(Object.entries(live)),
});

describe("the way of a base backup through timelines", () => {
  it("changes the timeline in the segment in which it was left", () => {
    const present = new Set([segment(1, 3), segment(1, 4), segment(2, 5), segment(2, 6)]);

    const { until, missing } = reachOf(base, line, archive(present));

    expect(formatLsn(until)).toBe("0/7000000");
    expect(missing).toBe(segment(2, 7));
  });

  it("ends where a segment is missing, whatever another timeline has", () => {
    const present = new Set([segment(1, 3), segment(1, 4), segment(1, 5), segment(1, 6)]);

    expect(reachOf(base, line, archive(present)).missing).toBe(segment(2, 5));
    expect(reachOf(base, lineOf(1, []), archive(present)).missing).toBe(segment(1, 7));
  });

  it("goes on into what is there of the last segment, but not where a later one is there", () => {
    const present = [segment(1, 3), segment(1, 4), segment(2, 5)];
    const live = { [segment(2, 6)]: 0x2345 };

    const atTheEnd = reachOf(base, line, archive(new Set(present), live));
    const before = reachOf(base, line, archive(new Set([...present, segment(2, 7)]), live));

    expect(formatLsn(atTheEnd.until)).toBe("0/6002345");
    expect(atTheEnd).toMatchObject({ missing: segment(2, 6), isLive: true });
    expect(formatLsn(before.until)).toBe("0/6000000");
    expect(before.isLive).toBe(false);
  });

  it("goes on behind what a timeline that was left has not archived any more", () => {
    const present = new Set([segment(1, 3), segment(2, 5), segment(2, 6)]);
    const live = { [segment(1, 4)]: 0x2345 };

    expect(reachOf(base, line, archive(present, live))).toMatchObject({
      missing: segment(1, 4),
      isGap: true,
      isLive: false,
    });
    expect(reachOf(base, lineOf(1, []), archive(present, live))).toMatchObject({
      isGap: false,
      isLive: true,
    });
  });

  it("knows what was left behind", () => {
    expect(isOn(line, 1, parseLsn("0/5800000"))).toBe(true);
    expect(isOn(line, 1, parseLsn("0/5800001"))).toBe(false);
    expect(isOn(line, 2, parseLsn("0/5800001"))).toBe(true);
    expect(isOn(line, 3, parseLsn("0/1"))).toBe(false);
  });
});

describe("the settings of a recovery", () => {
  const recovery = { timeline: 1, action: "promote", restoreCommand: "true" } as const;

  it("stop before the record that begins at a position", () => {
    const settings = recoverySettings({ ...recovery, target: { kind: "lsn", lsn: "0/5" } });

    expect(settings).toMatchObject({ recovery_target_lsn: "0/5", recovery_target_inclusive: "false" });
  });

  it("keep a copy from its original's archive and subscriptions", () => {
    expect(recoverySettings({ ...recovery, target: { kind: "latest" } })).toMatchObject({
      archive_mode: "off",
      max_logical_replication_workers: "0",
    });
  });

  it("have the lower 32 bits of a transaction", () => {
    const target = { kind: "transaction", transaction: String(2n ** 32n + 7n) } as const;

    expect(recoverySettings({ ...recovery, target }).recovery_target_xid).toBe("7");
  });

  it("take back every other target before they set their own: the server takes one", () => {
    const settings = recoverySettings({ ...recovery, target: { kind: "lsn", lsn: "0/5" } });

    const targets = Object.entries(settings).filter(([, value], index, all) => {
      const name = all[index]?.[0] ?? "";
      return /^recovery_target(_time|_lsn|_xid|_name)?$/.test(name) && value !== undefined;
    });
    expect(targets).toEqual([
      ["recovery_target", ""],
      ["recovery_target_name", ""],
      ["recovery_target_time", ""],
      ["recovery_target_xid", ""],
      ["recovery_target_lsn", "0/5"],
    ]);
  });

  it("write a time as PostgreSQL reads it", () => {
    const target = { kind: "time", time: "2026-11-21T14:31:59.123456Z" } as const;

    expect(recoverySettings({ ...recovery, target }).recovery_target_time).toBe(
      "2026-11-21 14:31:59.123456+00",
    );
  });
});
