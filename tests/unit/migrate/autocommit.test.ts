import { expect, test } from "vitest";
import { refusesTransaction, usesNewEnumValues, waitsHarmlessly } from "../../../src/migrate/autocommit.ts";
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

test.each([
  ["INSERT INTO m VALUES ('won''t')", true],
  ["INSERT INTO m VALUES (E'won\\'t')", true],
  ["SELECT $$won't$$::mood", true],
  ["INSERT INTO m VALUES ('{won''t}'::mood[])", true],
  ["DO $$ BEGIN INSERT INTO m VALUES ('won''t'); END $$", true],
  ["INSERT INTO m VALUES ('wont')", false],
  ["SELECT 1 -- 'won''t'", false],
])("%j uses the enum value that stands before it: %j", async (sql, used) => {
  const statements = await splitStatements(`ALTER TYPE mood ADD VALUE 'won''t'; ${sql};`);
  expect(usesNewEnumValues(statements)).toBe(used);
});
