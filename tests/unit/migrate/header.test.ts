import { describe, expect, test } from "vitest";
import { defaultSettings, readHeader } from "../../../src/migrate/header.ts";

const settings = (sql: string) => readHeader(sql, "1_a.up.sql").settings;
const problems = (sql: string) => readHeader(sql, "1_a.up.sql").problems;

describe("the header of a file", () => {
  test("sets what differs from the default, on one line or several", () => {
    const sql = `-- why
-- ops: transaction=none lock_timeout=5s

-- ops: phase=contract statement_timeout=10m
-- ops: allow=ban-drop-column because nothing reads it
-- ops: allow=prefer-text-field because of the old client
SELECT 1;`;
    expect(settings(sql)).toEqual({
      transaction: "none",
      lockTimeout: 5000,
      statementTimeout: 600_000,
      phase: "contract",
      allow: [
        { rule: "ban-drop-column", because: "nothing reads it" },
        { rule: "prefer-text-field", because: "of the old client" },
      ],
      batch: undefined,
    });
  });

  test("describes a backfill, with defaults for what it leaves out", () => {
    expect(settings("-- ops: batch table=app.users key=id size=200 max-lag=5s\n").batch).toEqual({
      table: "app.users",
      key: "id",
      size: 200,
      pause: 50,
      maxLag: 5000,
      target: 500,
    });
  });

  test("may be missing", () => {
    expect(settings("-- nothing about ops\nSELECT 1;")).toEqual(defaultSettings);
  });

  test.each([
    ["-- ops: lock_timeot=5s", 'unknown setting "lock_timeot"', 'did you mean "lock_timeout"?', 9],
    [
      "-- ops: lock_timeout=5",
      'lock_timeout: "5" is not a duration',
      "write a number with a unit: 500ms, 10s, 5m, 1h30m, 7d",
      9,
    ],
    ["-- ops: phase=later", '"later" is no phase', "write phase=expand or phase=contract", 9],
    ["-- ops: allow=x", "a lint rule is allowed for a reason", "write: -- ops: allow=RULE because WHY", 9],
    ["-- ops: batch table=t", "batch needs a key", "write: -- ops: batch table=users key=id size=5000", 9],
    ["-- ops: batch table=t key=id siz=4", 'unknown setting "siz" of batch', 'did you mean "size"?', 30],
  ])("with a mistake is refused with its place: %s", (line, message, hint, column) => {
    const [problem, ...others] = problems(`${line}\nSELECT 1;`);
    expect(others).toEqual([]);
    expect(problem?.message.split("\n")[0]).toBe(`1_a.up.sql:1:${column}: ${message}`);
    expect(problem?.hint).toBe(hint);
  });

  test("does not stand behind a statement, where it would be overlooked", () => {
    expect(problems("SELECT 1;\n-- ops: transaction=none\n")[0]?.message).toMatch(
      /^1_a\.up\.sql:2:1: settings stand before the first statement/,
    );
  });
});
