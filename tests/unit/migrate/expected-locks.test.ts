import { expect, test } from "vitest";
import { expectedLocks } from "../../../src/migrate/plan-expected-locks.ts";
import { splitStatements } from "../../../src/migrate/statements.ts";

async function locks(sql: string): Promise<string[]> {
  const [statement] = await splitStatements(sql);
  if (statement === undefined) throw new Error("no statement");
  return expectedLocks(statement).locks.map((each) => `${each.relation}: ${each.mode}`);
}

async function unknown(sql: string): Promise<boolean | undefined> {
  const [statement] = await splitStatements(sql);
  return statement && expectedLocks(statement).unknown;
}

test.each([
  ["ALTER TABLE o ADD COLUMN x int", ["o: ACCESS EXCLUSIVE"]],
  ["ALTER TABLE a.o ADD COLUMN x int REFERENCES p", ["a.o: ACCESS EXCLUSIVE", "p: SHARE ROW EXCLUSIVE"]],
  [
    "ALTER TABLE o ADD FOREIGN KEY (p) REFERENCES p (id)",
    ["o: SHARE ROW EXCLUSIVE", "p: SHARE ROW EXCLUSIVE"],
  ],
  ["ALTER TABLE o ADD CONSTRAINT c CHECK (x > 0) NOT VALID", ["o: ACCESS EXCLUSIVE"]],
  ["ALTER TABLE o VALIDATE CONSTRAINT c", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["ALTER TABLE o ALTER x SET STATISTICS 100", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["ALTER TABLE o SET (fillfactor = 70, autovacuum_enabled = off)", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["ALTER TABLE o SET (user_catalog_table = true)", ["o: ACCESS EXCLUSIVE"]],
  ["ALTER TABLE o DISABLE TRIGGER t", ["o: SHARE ROW EXCLUSIVE"]],
  [
    "ALTER TABLE o ATTACH PARTITION p FOR VALUES FROM (1) TO (2)",
    ["o: SHARE UPDATE EXCLUSIVE", "p: ACCESS EXCLUSIVE"],
  ],
  ["ALTER TABLE o VALIDATE CONSTRAINT c, DROP COLUMN x", ["o: ACCESS EXCLUSIVE"]],
  ["CREATE INDEX i ON o (x)", ["o: SHARE"]],
  ["CREATE INDEX CONCURRENTLY i ON o (x)", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["CREATE TABLE n (id int)", []],
  ["CREATE TABLE n (id int REFERENCES o)", ["o: SHARE ROW EXCLUSIVE"]],
  ["CREATE TABLE n PARTITION OF o FOR VALUES IN (1)", ["o: ACCESS EXCLUSIVE"]],
  ["DROP TABLE a.b, c", ["a.b: ACCESS EXCLUSIVE", "c: ACCESS EXCLUSIVE"]],
  ["DROP TRIGGER t ON s.o", ["s.o: ACCESS EXCLUSIVE"]],
  ["DROP INDEX CONCURRENTLY i", ["i: SHARE UPDATE EXCLUSIVE"]],
  ["DROP FUNCTION f", []],
  ["TRUNCATE a, b", ["a: ACCESS EXCLUSIVE", "b: ACCESS EXCLUSIVE"]],
  ["LOCK TABLE o IN SHARE MODE", ["o: SHARE"]],
  ["VACUUM FULL o", ["o: ACCESS EXCLUSIVE"]],
  ["VACUUM (FULL off) o", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["CREATE OR REPLACE VIEW s.v AS SELECT 1", ["s.v: ACCESS EXCLUSIVE"]],
  ["CREATE VIEW v AS SELECT 1", []],
  ["ANALYZE o", ["o: SHARE UPDATE EXCLUSIVE"]],
  ["REFRESH MATERIALIZED VIEW CONCURRENTLY m", ["m: EXCLUSIVE"]],
  [
    "WITH gone AS (DELETE FROM o RETURNING *) INSERT INTO archive SELECT * FROM gone",
    ["archive: ROW EXCLUSIVE", "o: ROW EXCLUSIVE"],
  ],
  ['UPDATE "Order" SET x = 1', ['"Order": ROW EXCLUSIVE']],
  ["CREATE TRIGGER t BEFORE INSERT ON o EXECUTE FUNCTION f()", ["o: SHARE ROW EXCLUSIVE"]],
  ["SELECT * FROM o FOR UPDATE", []],
  ["COMMENT ON TABLE o IS 'orders'", []],
])("%s", async (sql, expected) => {
  expect(await locks(sql)).toEqual(expected);
});

test("code that may lock anything is told as that, and calls that lock no table are not", async () => {
  expect(await unknown("DO $$ BEGIN PERFORM 1; END $$")).toBe(true);
  expect(await unknown("CALL move_orders()")).toBe(true);
  expect(await unknown("SELECT move_orders()")).toBe(true);
  expect(await unknown("SELECT setval('orders_id_seq', 100)")).toBe(false);
});
