import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ArchiveState } from "../../../src/pitr/archive-state.ts";
import { decideExpiry, type Expiry } from "../../../src/pitr/expiry.ts";
import { leadsTo, lineOf, reachOf } from "../../../src/pitr/line.ts";
import { parseLsn } from "../../../src/wal-archive/lsn.ts";
import { archive, at, base, day, now, segmentOf, segments } from "./archive.ts";

const policy = (days: number | undefined, neededBy: readonly [string, string][] = []) => ({
  now,
  window: days === undefined ? undefined : days * day,
  neededBy: new Map(neededBy),
});
const kept = ({ bases }: Expiry) =>
  bases.filter((each) => each.action === "keep").map(({ id }) => id.slice(-4));
const keptWal = (state: ArchiveState, expiry: Expiry) =>
  [...state.segments].filter((each) => expiry.keepsFile(each));

describe("a window of 14 days", () => {
  const state = archive({
    bases: [base(40, 1), base(30, 8), base(20, 15), base(10, 22)],
    wal: segments(5, 45),
  });

  test("keeps the base backup that it begins with, every later one, and their log", () => {
    const expiry = decideExpiry(state, policy(14));

    expect(kept(expiry)).toEqual(["0040", "0030", "0020"]);
    expect(keptWal(state, expiry)).toEqual(segments(20, 45));
    expect(expiry.bases.at(-1)).toEqual({
      id: base(10, 22).id,
      action: "remove",
      reason: "older than the window",
    });
  });

  test("forgets restore points that nothing leads to, and no others", () => {
    const expiry = decideExpiry(state, policy(14));

    expect(expiry.keepsPosition(1, parseLsn(at(20, 400)))).toBe(true);
    expect(expiry.keepsPosition(1, parseLsn(at(20, 399)))).toBe(false);
    expect(expiry.keepsPosition(1, parseLsn(at(12)))).toBe(false);
  });

  test("keeps the files that belong to a segment with it, and everything whose place is not known", () => {
    const expiry = decideExpiry(state, policy(14));

    expect(expiry.keepsFile(`${segmentOf(20)}.00000028.backup`)).toBe(true);
    expect(expiry.keepsFile(`${segmentOf(19)}.00000028.backup`)).toBe(false);
    expect(expiry.keepsFile(`${segmentOf(19)}.partial`)).toBe(false);
    expect(expiry.keepsFile("00000002.history")).toBe(true);
    expect(expiry.keepsFile("something")).toBe(true);
  });

  test("does not begin with one whose log is missing", () => {
    const holed = archive({ ...state, wal: segments(5, 45).filter((each) => each !== segmentOf(20)) });

    expect(kept(decideExpiry(holed, policy(14)))).toEqual(["0040", "0030", "0010"]);
  });

  test("keeps everything where nothing usable is old enough, or nothing is configured", () => {
    const young = archive({ bases: [base(40, 1), base(30, 8)], wal: segments(5, 45) });

    expect(kept(decideExpiry(young, policy(14)))).toEqual(["0040", "0030"]);
    expect(keptWal(young, decideExpiry(young, policy(14)))).toEqual(segments(30, 45));
    expect(kept(decideExpiry(state, policy(undefined)))).toHaveLength(4);
  });

  test("keeps the last one however old it is, also where base backups have stopped", () => {
    const stopped = archive({ bases: [base(40, 100), base(30, 107)], wal: segments(5, 45) });

    expect(kept(decideExpiry(stopped, policy(14)))).toEqual(["0040"]);
  });

  test("keeps the last usable one although it is of a timeline that was left long ago", () => {
    const left = archive({
      bases: [base(40, 20, { timeline: 2 }), base(10, 30)],
      wal: [...segments(5, 25), ...segments(8, 39, 2)],
      histories: new Map([[2, [{ timeline: 1, until: parseLsn(at(8)) }]]]),
    });

    expect(kept(decideExpiry(left, policy(14)))).toEqual(["0040", "0010"]);
  });

  test("keeps what a run works with and what others are based on, with their log", () => {
    const [newest, second] = [base(40, 1), base(30, 16, { parent: base(20, 18).id })];
    const chain = archive({ bases: [newest, second, base(20, 18), base(10, 30)], wal: segments(5, 45) });
    const needed = policy(14, [[base(10, 30).id, "run 1 works with it"]]);

    expect(kept(decideExpiry(chain, policy(14)))).toEqual(["0040", "0030", "0020"]);
    expect(keptWal(chain, decideExpiry(chain, policy(14)))).toEqual(segments(20, 45));
    expect(kept(decideExpiry(chain, needed))).toEqual(["0040", "0030", "0020", "0010"]);
    expect(keptWal(chain, decideExpiry(chain, needed))).toEqual(segments(10, 45));
  });

  test("refuses where a base backup is from the future", () => {
    const ahead = archive({ bases: [base(40, -1)], wal: [] });

    expect(() => decideExpiry(ahead, policy(14))).toThrow(expect.objectContaining({ code: "E_CLOCK" }));
  });
});

describe("after a promotion", () => {
  const histories = new Map([[2, [{ timeline: 1, until: parseLsn(at(25, 100)) }]]]);
  const wal = [...segments(5, 28), ...segments(25, 45, 2)];

  test("what the old timeline had in the window stays", () => {
    const state = archive({
      bases: [base(30, 5, { timeline: 2 }), base(20, 10), base(10, 20)],
      histories,
      wal,
    });
    const expiry = decideExpiry(state, policy(14));

    expect(kept(expiry)).toEqual(["0030", "0020", "0010"]);
    expect(keptWal(state, expiry)).toEqual([...segments(10, 28), ...segments(25, 45, 2)]);
  });

  test("it goes, log and all, once the new one has carried the window alone", () => {
    const state = archive({
      bases: [base(40, 5, { timeline: 2 }), base(30, 15, { timeline: 2 }), base(20, 20), base(10, 30)],
      histories,
      wal,
    });
    const expiry = decideExpiry(state, policy(14));

    expect(kept(expiry)).toEqual(["0040", "0030"]);
    expect(keptWal(state, expiry)).toEqual(segments(30, 45, 2));
    expect(expiry.keepsFile("00000002.history")).toBe(true);
  });

  test("the log of the newest timeline stays while its first base backup may be under way", () => {
    // The only base backup was made on the old one after it was left.
    const state = archive({ bases: [base(27, 5)], histories, wal });

    expect(keptWal(state, decideExpiry(state, policy(14)))).toEqual([
      ...segments(27, 28),
      ...segments(25, 45, 2),
    ]);
  });

  test("a timeline whose history is not archived keeps all that could belong to it", () => {
    const state = archive({
      bases: [base(40, 5), base(30, 15), base(20, 20)],
      wal: [...wal, ...segments(29, 45)],
    });

    expect(keptWal(state, decideExpiry(state, policy(14)))).toEqual([
      ...segments(30, 45, 2),
      ...segments(30, 45),
    ]);
  });
});

test("whatever an archive holds: every moment of the window that could be restored still can be, and nothing is kept in vain", () => {
  const bases = fc.uniqueArray(
    fc.record({ segment: fc.integer({ min: 1, max: 60 }), parent: fc.boolean() }),
    { minLength: 1, maxLength: 8, selector: ({ segment }) => segment },
  );
  fc.assert(
    fc.property(
      bases,
      fc.array(fc.integer({ min: 1, max: 60 })),
      fc.integer({ min: 1, max: 59 }),
      fc.option(fc.integer({ min: 2, max: 58 }), { nil: undefined }),
      (given, holes, days, fork) => {
        // One segment a day: segment n was written 61 - n days ago.
        const manifests = given
          .sort((one, other) => other.segment - one.segment)
          .map(({ segment, parent }, index, all) => {
            const older = all[index + 1]?.segment;
            return base(segment, 61 - segment, {
              timeline: fork !== undefined && segment > fork ? 2 : 1,
              ...(parent && older !== undefined ? { parent: base(older, 0).id } : {}),
            });
          });
        const lost = new Set(holes);
        const present = (from: number, to: number, timeline: number) =>
          segments(from, to, timeline).filter((_, index) => !lost.has(from + index));
        const state = archive({
          bases: manifests,
          histories:
            fork === undefined ? new Map() : new Map([[2, [{ timeline: 1, until: parseLsn(at(fork + 1)) }]]]),
          wal: fork === undefined ? present(1, 60, 1) : [...present(1, fork, 1), ...present(fork + 1, 60, 2)],
        });
        const expiry = decideExpiry(state, policy(days));
        const stays = state.bases.filter(({ id }) =>
          expiry.bases.some((each) => each.id === id && each.action === "keep"),
        );
        const after = { ...state, bases: stays, segments: new Set(keptWal(state, expiry)) };
        const line = lineOf(
          fork === undefined ? 1 : 2,
          fork === undefined ? [] : (state.histories.get(2) ?? []),
        );
        const restorable = (held: ArchiveState, segment: number) =>
          held.bases.some(
            (each) =>
              leadsTo(each, line) &&
              parseLsn(each.stopLsn) <= parseLsn(at(segment, 500)) &&
              reachOf(each, line, held).until > parseLsn(at(segment, 500)),
          );

        for (let segment = 61 - days; segment <= 60; segment += 1) {
          expect(restorable(after, segment)).toBe(restorable(state, segment));
        }
        // A base backup that was usable is usable.
        for (const each of stays) {
          expect(reachOf(each, line, after).until).toBe(reachOf(each, line, state).until);
          if (each.parent !== undefined) expect(stays.map(({ id }) => id)).toContain(each.parent);
        }
        const oldest = Math.min(...stays.map((each) => Number(each.id.slice(-4))));
        for (const name of after.segments)
          expect(Number.parseInt(name.slice(16), 16)).toBeGreaterThanOrEqual(oldest);
        // Pruned once, there is nothing more to prune.
        expect(decideExpiry(after, policy(days)).bases.map(({ action }) => action)).not.toContain("remove");
      },
    ),
    { numRuns: 500 },
  );
});
