import { Chalk } from "chalk";
import { describe, expect, it } from "vitest";
import { bar, chart } from "../../../src/backup/chart.ts";
import type { BackupOverview } from "../../../src/backup/overview.ts";
import { standingOf } from "../../../src/backup/standing.ts";
import { plainScreen } from "../../../src/run/screen.ts";

const hour = 3_600_000;
const place = { database: "main", store: "local" };
const limits = { maxAgeMs: 25 * hour, last: 10 };

/** Begun so many hours ago. */
function backup(age: number, change: Partial<BackupOverview> = {}): BackupOverview {
  return {
    id: `b${age}`,
    status: "complete",
    reason: null,
    environment: "production",
    database: "main",
    startedAt: new Date(Date.UTC(2026, 10, 21) - age * hour).toISOString(),
    ageMs: age * hour,
    durationMs: 100_000,
    bytes: 1_000_000,
    part: false,
    hold: null,
    drill: null,
    ...change,
  };
}

const nightly = [1, 25, 49, 73, 97, 121].map((age) => backup(age));
const warningsOf = (backups: readonly BackupOverview[]) =>
  standingOf(place, backups, limits).warnings.map(({ kind }) => kind);

describe("how backups stand", () => {
  it("is overdue when the newest whole one is older than the limit, or there is none", () => {
    expect(standingOf(place, [backup(25), backup(49)], limits)).toMatchObject({ overdue: false, count: 2 });
    expect(standingOf(place, [backup(26)], limits)).toMatchObject({ overdue: true, ageMs: 26 * hour });
    expect(standingOf(place, [], limits)).toMatchObject({ overdue: true, newest: null, ageMs: null });
  });

  it("counts no broken one and none from the future as the newest", () => {
    const broken = backup(1, { status: "broken", reason: "dump is missing", bytes: null, durationMs: null });
    const future = backup(-3);

    expect(standingOf(place, [broken, backup(30)], limits)).toMatchObject({
      overdue: true,
      broken: 1,
      newest: { id: "b30" },
      warnings: [{ kind: "broken", text: "the newest one is broken: dump is missing" }],
    });
    expect(standingOf(place, [future, backup(30)], limits)).toMatchObject({
      overdue: true,
      newest: { id: "b30" },
      warnings: [{ kind: "future", text: expect.stringContaining("3h 00m ahead") }],
    });
  });

  it("takes a backup of a part for one of the whole database only where there is no other", () => {
    const part = backup(1, { part: true, bytes: 10 });

    expect(standingOf(place, [part, backup(30)], limits)).toMatchObject({
      overdue: true,
      newest: { id: "b30" },
      count: 1,
      parts: 1,
    });
    expect(standingOf(place, [part], limits)).toMatchObject({ overdue: false, count: 1, parts: 0 });
  });

  it("warns where the newest one is smaller than half of the median of the five before", () => {
    const [newest, ...before] = nightly;
    const odd = before.map((each, index) => (index === 2 ? { ...each, bytes: 1 } : each));

    expect(warningsOf([{ ...backup(1), bytes: 499_999 }, ...odd])).toEqual(["smaller"]);
    expect(warningsOf([{ ...backup(1), bytes: 500_000 }, ...before])).toEqual([]);
    expect(warningsOf(newest === undefined ? [] : [newest, ...odd])).toEqual([]);
    // Two are not enough to know what is usual.
    expect(warningsOf([backup(1, { bytes: 1 }), ...before.slice(0, 2)])).toEqual([]);
  });

  it("warns where the newest one took twice as long, and a minute more than usual", () => {
    const before = nightly.slice(1);
    const quick = before.map((each) => ({ ...each, durationMs: 100 }));

    expect(warningsOf([backup(1, { durationMs: 200_001 }), ...before])).toEqual(["slower"]);
    expect(warningsOf([backup(1, { durationMs: 200_000 }), ...before])).toEqual([]);
    expect(warningsOf([backup(1, { durationMs: 10_000 }), ...quick])).toEqual([]);
  });

  it("warns of a failed drill of the newest one, and keeps the history oldest first", () => {
    const drill = { verdict: "fail" as const, at: "2026-11-21T00:00:00Z" };
    const standing = standingOf(place, [backup(1, { drill }), ...nightly.slice(1)], { ...limits, last: 3 });

    expect(standing.warnings.map(({ kind }) => kind)).toEqual(["drill-failed"]);
    expect(standing.history.map(({ id }) => id)).toEqual(["b49", "b25", "b1"]);
  });
});

describe("the chart", () => {
  const colored = { color: new Chalk({ level: 1 }), columns: 80 };

  it("has bars in eighths of a character, or of plain characters", () => {
    expect(bar(100, 100, 4, colored)).toBe("████");
    expect(bar(53, 100, 4, colored)).toBe("██▏");
    expect(bar(1, 1_000_000, 4, colored)).toBe("▏");
    expect(bar(0, 100, 4, colored)).toBe("");
    expect(bar(0, 0, 4, colored)).toBe("");
    expect(bar(53, 100, 4, plainScreen)).toBe("##");
    expect(bar(1, 1_000_000, 4, plainScreen)).toBe("#");
  });

  it("fits 80 columns with the widest numbers there are, and grows no wider than 100", () => {
    const widest = nightly.map((each) => ({
      ...each,
      bytes: 1023 * 2 ** 40,
      durationMs: 59 * 60_000 + 59_000,
    }));
    const standing = standingOf(place, widest, limits);
    const longest = (columns: number) =>
      Math.max(...chart(standing, { ...plainScreen, columns }).map((line) => line.length));

    expect(longest(80)).toBeLessThanOrEqual(80);
    expect(longest(300)).toBeLessThanOrEqual(100);
  });

  it("is of plain ASCII where there is no colour", () => {
    expect(chart(standingOf(place, nightly, limits), plainScreen).join("")).toMatch(/^[ -~]+$/);
  });
});
