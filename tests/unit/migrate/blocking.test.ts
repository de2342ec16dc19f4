import { describe, expect, test } from "vitest";
import type { LockHold } from "../../../src/migrate/report.ts";
import { blockingSentence } from "../../../src/migrate/report-estimate.ts";
import { lockHolds } from "../../../src/migrate/test/lock-holds.ts";
import type { LockMode } from "../../../src/migrate/test/lock-mode.ts";
import type { Relation } from "../../../src/migrate/test/relations.ts";

const gibibyte = 2 ** 30;
const hold: LockHold = {
  relation: "orders",
  mode: "SHARE",
  blocks: "writes",
  heldMs: 40_000,
  bytes: 12 * gibibyte,
  realBytes: null,
};

describe("the sentence", () => {
  test("tells who waits for what, how long, and how that is known", () => {
    expect(blockingSentence({ ...hold, realBytes: 12 * gibibyte }, "copy")).toBe(
      "this will block writes on orders (12.0 GiB) for about 40s (measured on a copy of about the same size)",
    );
  });

  test("scales the time by the sizes, the real one of now before the one of the test", () => {
    const small = { ...hold, heldMs: 2000, bytes: gibibyte, realBytes: 10 * gibibyte };
    expect(blockingSentence(small, "copy", 20 * gibibyte)).toBe(
      "this will block writes on orders (20.0 GiB) for about 40s (scaled from 2.0s on a copy of 1.0 GiB)",
    );
  });

  test("does not pretend to know the time from an empty database", () => {
    expect(blockingSentence(hold, "empty", 12 * gibibyte)).toBe(
      "this will block writes on orders (12.0 GiB); how long is not known: only an empty database was tested",
    );
  });

  test("calls a moment a moment", () => {
    expect(blockingSentence({ ...hold, heldMs: 3 }, "copy")).toBe(
      "this will block writes on orders (12.0 GiB) for a moment (3ms) (measured on a copy of 12.0 GiB)",
    );
  });
});

describe("how long the application waits", () => {
  const table = { oid: "1", name: "orders", kind: "table", fileNode: "1", tableOid: null } as const;
  const index = { oid: "2", name: "orders_pkey", kind: "index", fileNode: "2", tableOid: "1" } as const;
  const before = new Map<string, Relation>([
    ["1", table],
    ["2", index],
  ]);
  const statement = (durationMs: number, ...taken: [string, LockMode][]) => ({
    durationMs,
    taken: new Map(taken),
  });
  const transaction = { transaction: true, commitMs: 1 };

  test("is counted from the first lock that makes it wait to the commit", () => {
    const holds = lockHolds(
      [statement(5), statement(10, ["1", "SHARE"]), statement(100, ["1", "ACCESS EXCLUSIVE"])],
      before,
      transaction,
    );
    expect(holds).toEqual([
      { relation: "orders", mode: "SHARE", blocks: "writes", heldMs: 111 },
      { relation: "orders", mode: "ACCESS EXCLUSIVE", blocks: "reads and writes", heldMs: 101 },
    ]);
  });

  test("is that of the strongest lock where a weaker one adds nothing", () => {
    const holds = lockHolds(
      [statement(10, ["1", "ACCESS EXCLUSIVE"]), statement(5, ["1", "SHARE"])],
      before,
      transaction,
    );
    expect(holds.map((each) => each.mode)).toEqual(["ACCESS EXCLUSIVE"]);
  });

  test("an index that is locked against reads stops its table's queries", () => {
    const holds = lockHolds([statement(10, ["2", "ACCESS EXCLUSIVE"])], before, transaction);
    expect(holds).toMatchObject([{ relation: "orders", blocks: "reads and writes" }]);
  });

  test("ends with each statement outside a transaction", () => {
    const alone = { transaction: false, commitMs: 0 };
    const holds = lockHolds([statement(10, ["1", "SHARE"]), statement(500)], before, alone);
    expect(holds).toMatchObject([{ relation: "orders", heldMs: 10 }]);
  });

  test("what the file itself made keeps nobody waiting", () => {
    expect(lockHolds([statement(10, ["3", "ACCESS EXCLUSIVE"])], before, transaction)).toEqual([]);
  });
});
