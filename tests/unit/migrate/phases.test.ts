import { describe, expect, test } from "vitest";
import { milliseconds } from "../../../src/core/duration.ts";
import { assess } from "../../../src/migrate/assessment.ts";
import { migration } from "../../../src/migrate/migration.ts";
import { soakObjections } from "../../../src/migrate/phase-contract.ts";
import { phaseOrderProblems } from "../../../src/migrate/phase-order.ts";
import { sqlFile } from "../../../src/migrate/sql-file.ts";
import { compareVersions } from "../../../src/migrate/version.ts";

const make = (version: string, sql: string) =>
  migration({
    version,
    name: "m",
    up: sqlFile(`${version}_m.up.sql`, () => sql),
    down: undefined,
    verify: undefined,
  });
const contract = (version: string, sql: string) => make(version, `-- ops: phase=contract\n${sql}`);
const row = (version: string, checksum: string, appliedAt: string) => ({
  version,
  name: "m",
  checksum,
  appliedAt,
  appliedBy: "ann",
  runId: null,
  durationMs: 1,
});

describe("expand migrations that go before a contract migration in front of them", () => {
  test.each([
    ["ALTER TABLE orders DROP COLUMN state", "CREATE TABLE other (id int)"],
    ["ALTER TABLE orders DROP COLUMN state", "ALTER TABLE orders ADD COLUMN status text"],
    ["DROP TABLE old_orders", "CREATE INDEX i ON orders (status)"],
    ["ALTER TABLE orders ALTER COLUMN status SET NOT NULL", "UPDATE orders SET status = 'x'"],
  ])("%s, %s: independent", async (first, second) => {
    const [a, b] = [contract("1", first), make("2", second)];
    expect(await phaseOrderProblems([a, b], [b])).toEqual([]);
  });

  test.each([
    [
      "ALTER TABLE orders RENAME COLUMN state TO status",
      "CREATE INDEX i ON orders (status)",
      "orders.status",
    ],
    ["ALTER TABLE orders RENAME COLUMN state TO status", "UPDATE orders SET status = 'x'", "orders.status"],
    ["CREATE TABLE archive (id int)", "INSERT INTO archive SELECT id FROM orders", "archive"],
    ["ALTER TABLE orders DROP COLUMN state", "ALTER TABLE orders ADD COLUMN state int", "orders.state"],
    ["DROP INDEX orders_idx", "CREATE INDEX orders_idx ON orders (id)", "orders_idx"],
    ["ALTER TABLE a RENAME TO b", "ALTER TABLE b ADD COLUMN c int", "b"],
  ])("%s, %s: depends on %s", async (first, second, what) => {
    const [a, b] = [contract("1", first), make("2", second)];
    const [problem] = await phaseOrderProblems([a, b], [b]);
    expect(problem).toMatchObject({ kind: "phase-order" });
    expect(problem?.message).toContain(` ${what}, which 1_m.up.sql (contract, not applied)`);
  });

  test("are not out of order's cause: the contract migration is pending, not late", () => {
    const files = [make("1", "SELECT 1"), contract("2", "SELECT 2"), make("3", "SELECT 3")];
    const history = ["1", "3"].map((version) => {
      const file = files.find((each) => each.version === version);
      return row(version, file?.up.checksum ?? "", "2026-01-01T00:00:00.000Z");
    });
    const { standings, problems } = assess({ migrations: files, compare: compareVersions }, history);
    expect(standings.map((each) => each.state)).toEqual(["applied", "pending", "applied"]);
    expect(problems).toEqual([]);
  });
});

describe("the soak time", () => {
  const files = [make("1", "SELECT 1"), make("2", "SELECT 2"), contract("3", "SELECT 3")];
  const now = Date.parse("2026-01-01T12:00:00Z");
  const objections = (soak: number, ...times: string[]) =>
    soakObjections(
      files,
      times.map((time, index) => row(String(index + 1), "", time)),
      milliseconds(soak),
      now,
    );

  test("is counted from the newest applied expand migration", () => {
    expect(objections(600_000, "2026-01-01T11:55:00Z", "2026-01-01T11:00:00Z")).toEqual([
      { message: "1_m has been in use for 5m 00s of a soak time of 10m 00s", leftMs: 300_000 },
    ]);
    expect(objections(600_000, "2026-01-01T11:40:00Z", "2026-01-01T11:00:00Z")).toEqual([]);
  });

  test("does not count contract migrations, nor an empty history", () => {
    expect(
      objections(600_000, "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T11:59:00Z"),
    ).toEqual([]);
    expect(objections(600_000)).toEqual([]);
  });
});
