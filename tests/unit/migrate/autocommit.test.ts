import { expect, test } from "vitest";
import { refusesTransaction, waitsHarmlessly } from "../../../src/migrate/autocommit.ts";
import { splitStatements } from "../../../src/migrate/statements.ts";

test.each([
  ["CREATE INDEX CONCURRENTLY i ON t (a)", true],
  ["REINDEX (CONCURRENTLY) TABLE t", true],
  ["ALTER TABLE t DETACH PARTITION p CONCURRENTLY", true],
  ["VACUUM (ANALYZE) t", true],
  ["VACUUM (FULL off) t", true],
  ["VACUUM FULL t", false],
  ["VACUUM (FULL 1) t", false],
  ["REINDEX SCHEMA app /* not concurrently */", false],
  ["REINDEX (CONCURRENTLY off) SCHEMA app", false],
  ["CLUSTER", false],
])("nobody queues behind %j while it waits: %j", async (sql, harmless) => {
  const [statement] = await splitStatements(sql);
  if (statement === undefined) throw new Error("no statement");
  expect(refusesTransaction(statement)).toBe(true);
  expect(waitsHarmlessly(statement)).toBe(harmless);
});
