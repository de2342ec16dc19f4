import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Decision,
  decideRetention,
  type RetainableBackup,
  type RetentionPolicy,
  type RetentionScope,
} from "../../../src/archive/retention.ts";

const hour = 3_600_000;
const day = 24 * hour;
const now = new Date("2026-11-21T12:00:00Z");
const scope: RetentionScope = {
  environment: "production",
  database: undefined,
  now,
  broken: "keep",
  future: "refuse",
};

function backup(startedAt: string | Date, change: Partial<RetainableBackup> = {}): RetainableBackup {
  const at = new Date(startedAt);
  return {
    id: `${at.toISOString()}-${change.database ?? "main"}`,
    environment: "production",
    database: "main",
    startedAt: at,
    status: "complete",
    isPart: false,
    drillFailed: false,
    neededBy: [],
    ...change,
  };
}

/** One for each day that ends with `newest`, newest first. */
function nightly(count: number, newest = "2026-11-21T02:00:00Z"): RetainableBackup[] {
  return Array.from({ length: count }, (_, index) => backup(new Date(Date.parse(newest) - index * day)));
}

function keptDays(decisions: readonly Decision[]): string[] {
  return decisions.filter((each) => each.action === "keep").map((each) => each.id.slice(0, 10));
}

const policy = (rules: Omit<RetentionPolicy, "time-zone">, timeZone = "UTC"): RetentionPolicy => ({
  "time-zone": timeZone,
  ...rules,
});

describe("a retention policy", () => {
  it("lets no backup of a part push out one of the whole database", () => {
    const parts = nightly(4).map((each) => ({ ...each, id: `part-${each.id}`, isPart: true }));
    const before = nightly(3, "2026-11-10T02:00:00Z");

    const kept = decideRetention([...parts, ...before], policy({ last: 2 }), scope)
      .filter((each) => each.action === "keep")
      .map(({ id, reasons }) => [id.slice(0, 15), reasons[0]]);

    expect(kept).toEqual([
      ["part-2026-11-21", "newest one of a part"],
      ["part-2026-11-20", "last"],
      ["2026-11-10T02:0", "newest whole one"],
      ["2026-11-09T02:0", "last"],
    ]);
  });

  it("keeps the newest by count", () => {
    const decisions = decideRetention(nightly(5), policy({ last: 2 }), scope);

    expect(keptDays(decisions)).toEqual(["2026-11-21", "2026-11-20"]);
    expect(decisions[1]).toMatchObject({ action: "keep", reasons: ["last"] });
    expect(decisions[2]).toMatchObject({ action: "remove", reasons: ["no rule keeps it"] });
  });

  it("keeps by age, counted from the newest whole one, so that a database whose backups stopped loses nothing", () => {
    const stopped = nightly(5, "2026-06-01T02:00:00Z");

    expect(keptDays(decideRetention(stopped, policy({ within: 2 * day }), scope))).toEqual([
      "2026-06-01",
      "2026-05-31",
      "2026-05-30",
    ]);
  });

  it("keeps the newest of each day, week, month and year that has one, as a union", () => {
    const decisions = decideRetention(
      nightly(800),
      policy({ daily: 3, weekly: 2, monthly: 3, yearly: 3 }),
      scope,
    );

    expect(keptDays(decisions)).toEqual([
      "2026-11-21",
      "2026-11-20",
      "2026-11-19",
      "2026-11-15",
      "2026-10-31",
      "2026-09-30",
      "2025-12-31",
      "2024-12-31",
    ]);
    expect(decisions[0]?.reasons).toEqual(["newest whole one", "daily", "weekly", "monthly", "yearly"]);
  });

  it("counts periods that have a backup, not periods that have passed", () => {
    const sparse = [
      backup("2026-11-21T02:00Z"),
      backup("2026-09-03T02:00Z"),
      backup("2026-09-01T02:00Z"),
      backup("2025-01-07T02:00Z"),
    ];

    expect(keptDays(decideRetention(sparse, policy({ monthly: 3 }), scope))).toEqual([
      "2026-11-21",
      "2026-09-03",
      "2025-01-07",
    ]);
  });

  it("begins the day where its time zone does", () => {
    // 23:30 and 00:30 in Berlin (UTC+1): two days there, one day in UTC.
    const pair = [backup("2026-11-20T23:30Z"), backup("2026-11-20T22:30Z")];

    expect(keptDays(decideRetention(pair, policy({ daily: 2 }), scope))).toHaveLength(1);
    expect(keptDays(decideRetention(pair, policy({ daily: 2 }, "Europe/Berlin"), scope))).toHaveLength(2);
  });

  it("takes the hour that comes twice in autumn for two hours", () => {
    // 02:30 summer time and 02:30 winter time in Berlin.
    const pair = [backup("2026-10-25T01:30Z"), backup("2026-10-25T00:30Z")];

    expect(keptDays(decideRetention(pair, policy({ hourly: 2 }, "Europe/Berlin"), scope))).toHaveLength(2);
    expect(keptDays(decideRetention(pair, policy({ daily: 2 }, "Europe/Berlin"), scope))).toHaveLength(1);
  });

  it("has weeks from Monday to Sunday, also over New Year", () => {
    // Thursday 31 December 2026 and Sunday 3 January 2027 are of week 53; Monday is of the next.
    const days = [
      backup("2027-01-04T02:00Z"),
      backup("2027-01-03T02:00Z"),
      backup("2026-12-31T02:00Z"),
      backup("2026-12-27T02:00Z"),
    ];

    const later = { ...scope, now: new Date("2027-01-05T00:00Z") };
    expect(keptDays(decideRetention(days, policy({ weekly: 3 }), later))).toEqual([
      "2027-01-04",
      "2027-01-03",
      "2026-12-27",
    ]);
  });

  it("that keeps nothing still leaves the newest whole backup of each database", () => {
    const all = [
      backup("2026-11-21T02:00Z", { status: "broken" }),
      ...nightly(2, "2026-11-20T02:00:00Z"),
      backup("2026-01-01T02:00Z", { database: "other" }),
    ];

    const decisions = decideRetention(all, policy({ last: 0 }), scope);

    expect(decisions.map((each) => each.action)).toEqual(["keep", "keep", "remove", "keep"]);
    expect(decisions[1]?.reasons).toEqual(["newest whole one"]);
  });

  it("that is not there keeps everything", () => {
    const decisions = decideRetention(nightly(3), undefined, scope);

    expect(decisions.map((each) => each.action)).toEqual(["keep", "keep", "keep"]);
    expect(decisions[2]?.reasons).toEqual(["the store has no retention"]);
  });
});

describe("a backup whose drill failed", () => {
  const all = [backup("2026-11-21T02:00Z", { drillFailed: true }), ...nightly(3, "2026-11-20T02:00:00Z")];

  it("does not push out the newest one that is not known to fail", () => {
    const [failed, good, ...older] = decideRetention(all, policy({ last: 1 }), scope);

    expect(failed).toMatchObject({ action: "keep", reasons: ["newest whole one", "last"] });
    expect(good).toMatchObject({ action: "keep", reasons: ["newest one whose drill did not fail"] });
    expect(older.map((each) => each.action)).toEqual(["remove", "remove"]);
  });

  it("lets no broken one go: that may be worth more", () => {
    const broken = backup("2026-11-20T02:00Z", { status: "broken" });

    const decisions = decideRetention([...all.slice(0, 1), broken], policy({ last: 1 }), {
      ...scope,
      broken: "remove",
    });

    expect(decisions.map((each) => each.action)).toEqual(["keep", "keep"]);
  });
});

describe("a broken backup", () => {
  const all = [
    backup("2026-11-21T02:00Z", { status: "broken" }),
    backup("2026-11-20T02:00Z"),
    backup("2026-11-19T02:00Z", { status: "broken", environment: null }),
  ];

  it("stays, and takes no place of a whole one", () => {
    const decisions = decideRetention([...all, backup("2026-11-18T02:00Z")], policy({ last: 2 }), scope);

    expect(decisions.map((each) => each.action)).toEqual(["keep", "keep", "keep", "keep"]);
  });

  it("goes when that is asked for and a newer one is whole", () => {
    const decisions = decideRetention(all, policy({ last: 1 }), { ...scope, broken: "remove" });

    expect(decisions.map((each) => each.action)).toEqual(["keep", "keep", "remove"]);
    expect(decisions[0]?.reasons).toEqual(["broken, but no newer one is whole"]);
  });
});

describe("a backup from the future", () => {
  const all = [backup("2026-11-22T02:00Z"), ...nightly(3)];

  it("is refused: by its clock everything else is old", () => {
    expect(() => decideRetention(all, policy({ within: hour }), scope)).toThrow(
      expect.objectContaining({ code: "E_CLOCK" }),
    );
  });

  it("is kept and counts for nothing where that is asked for", () => {
    const decisions = decideRetention(all, policy({ last: 1 }), { ...scope, future: "keep" });

    expect(decisions.map((each) => [each.action, each.reasons])).toEqual([
      ["keep", ["from the future"]],
      ["keep", ["newest whole one", "last"]],
      ["remove", ["no rule keeps it"]],
      ["remove", ["no rule keeps it"]],
    ]);
  });

  it("of another environment is none of our business", () => {
    const other = backup("2026-11-22T02:00Z", { environment: "staging" });

    expect(keptDays(decideRetention([other, ...nightly(2)], policy({ last: 1 }), scope))).toEqual([
      "2026-11-22",
      "2026-11-21",
    ]);
  });
});

describe("whatever the policy and the backups are", () => {
  const count = fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined });
  const anyPolicy: fc.Arbitrary<RetentionPolicy> = fc.record({
    last: count,
    within: fc.option(fc.integer({ min: 0, max: 60 * day }), { nil: undefined }),
    hourly: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    "time-zone": fc.constantFrom("UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns"),
  });
  const anyBackup: fc.Arbitrary<Omit<RetainableBackup, "id">> = fc.record({
    environment: fc.constantFrom("production", "staging", null),
    database: fc.constantFrom("main", "other", null),
    startedAt: fc
      .integer({ min: 0, max: 900 * 24 })
      .map((hoursAgo) => new Date(now.getTime() - hoursAgo * hour)),
    status: fc.constantFrom("complete" as const, "complete" as const, "broken" as const),
    isPart: fc.boolean(),
    drillFailed: fc.boolean(),
    neededBy: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.constant(["legal hold"])),
  });
  const anyBackups = fc
    .array(anyBackup, { maxLength: 60 })
    .map((all) => all.map((each, index) => ({ ...each, id: `b${String(index).padStart(3, "0")}` })));
  const anyScope = fc.record({
    environment: fc.constant("production"),
    database: fc.constantFrom(undefined, "main"),
    now: fc.constant(now),
    broken: fc.constantFrom("keep" as const, "remove" as const),
    future: fc.constantFrom("refuse" as const, "keep" as const),
  });

  it("decides each backup once, and removes none that is held, of somebody else, or the last good one", () => {
    fc.assert(
      fc.property(anyBackups, anyPolicy, anyScope, (all, rules, within) => {
        const decisions = decideRetention(all, rules, within);

        expect(decisions.map((each) => each.id)).toEqual(all.map((each) => each.id));
        expect(decisions.every((each) => each.reasons.length > 0)).toBe(true);
        const removed = all.filter((_, index) => decisions[index]?.action === "remove");
        for (const each of removed) {
          expect(each.neededBy).toEqual([]);
          expect(each.environment === null || each.environment === "production").toBe(true);
          if (within.database !== undefined) expect(each.database).toBe(within.database);
          const newer = all.find(
            (other) =>
              !removed.includes(other) &&
              other.status === "complete" &&
              other.database === each.database &&
              (other.environment === "production" || other.environment === null) &&
              other.startedAt >= each.startedAt,
          );
          expect(newer, `a newer whole one than ${each.id} is left`).toBeDefined();
          const restorable = (other: RetainableBackup) => other.status === "complete" && !other.drillFailed;
          const same = all.filter(
            (other) =>
              other.database === each.database &&
              other.isPart === each.isPart &&
              (other.environment === "production" || other.environment === null),
          );
          if (same.some(restorable))
            expect(same.filter((other) => !removed.includes(other)).some(restorable)).toBe(true);
          if (each.status === "broken") expect(within.broken).toBe("remove");
        }
      }),
      { numRuns: 500 },
    );
  });

  it("decides the same again on what is left, and in any order", () => {
    fc.assert(
      fc.property(
        anyBackups,
        anyPolicy,
        anyScope,
        fc.infiniteStream(fc.nat()),
        (all, rules, within, order) => {
          const kept = new Set(
            decideRetention(all, rules, within)
              .filter((each) => each.action === "keep")
              .map((each) => each.id),
          );
          const left = all.filter((each) => kept.has(each.id));
          const again = decideRetention(left, rules, within);
          expect(again.filter((each) => each.action === "remove")).toEqual([]);

          const shuffled = all
            .map((each) => ({ each, key: order.next().value }))
            .sort((one, other) => one.key - other.key)
            .map(({ each }) => each);
          const other = decideRetention(shuffled, rules, within);
          expect(new Set(other.filter((each) => each.action === "keep").map((each) => each.id))).toEqual(
            kept,
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("keeps at least as much where one more rule is given", () => {
    fc.assert(
      fc.property(
        anyBackups,
        anyPolicy,
        anyScope,
        fc.integer({ min: 0, max: 5 }),
        (all, rules, within, more) => {
          const kept = (given: RetentionPolicy) =>
            decideRetention(all, given, within).filter((each) => each.action === "keep");
          const wider = kept({ ...rules, daily: (rules.daily ?? 0) + more });
          expect(wider.map((each) => each.id)).toEqual(
            expect.arrayContaining(kept(rules).map((each) => each.id)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
