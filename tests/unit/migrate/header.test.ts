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

  test("names a table and a key in quotes, with spaces and quotes in them", () => {
    expect(
      settings(`-- ops: batch table="My ""own"" app"."the users" key="the id" size=7`).batch,
    ).toMatchObject({
      table: `"My ""own"" app"."the users"`,
      key: `"the id"`,
      size: 7,
    });
  });

  test("may be missing", () => {
    expect(settings("-- nothing about ops\nSELECT 1;")).toEqual(defaultSettings);
  });

  test.each<[string, string, string, number]>([
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
    [
      "-- ops: batch table=t key=id size=1000001",
      "a batch has at most 1000000 rows",
      "write: size=5000; it follows the time that a batch takes",
      30,
    ],
    ["-- ops: phase=contract phase=expand", "phase is set twice", "keep the one that is meant", 24],
    ["-- ops: batch table=t key=id key=n", "key is set twice", "keep the one that is meant", 30],
    ...[
      "-- ops phase=contract",
      "--\u00a0ops: phase=contract",
      "-- ops\u00a0: phase=contract",
      "--- OPS: lock-timeout=5s",
      "-- ops batch table=t key=id",
    ].map(
      (line) =>
        [line, "looks like a setting, and would be ignored", "begin the line with exactly: -- ops: ", 1] as [
          string,
          string,
          string,
          number,
        ],
    ),
  ])("with a mistake is refused with its place: %s", (line, message, hint, column) => {
    const [problem, ...others] = problems(`${line}\nSELECT 1;`);
    expect(others).toEqual([]);
    expect(problem?.message.split("\n")[0]).toBe(`1_a.up.sql:1:${column}: ${message}`);
    expect(problem?.hint).toBe(hint);
  });

  test("sets each setting once, also over several lines", () => {
    expect(problems("-- ops: phase=contract\n-- ops: phase=expand\nSELECT 1;")[0]?.message).toMatch(
      /^1_a\.up\.sql:2:9: phase is set twice/,
    );
  });

  test("is read in capitals, and below a block comment", () => {
    const sql = "/* a licence /* nested */\n-- ops: phase=later\n*/ -- OPS: phase=contract\nSELECT 1;";
    expect(problems(sql)).toEqual([]);
    expect(settings(sql).phase).toBe("contract");
  });

  test.each([
    "DO $body$ BEGIN\n-- ops: transaction=none\nEND $body$;",
    "SELECT 'it''s\n-- ops: transaction=none\n';",
    "SELECT E'\\'\n-- ops: transaction=none\n';",
    'SELECT 1 AS "\n-- ops: transaction=none\n";',
    "SELECT a$b, $1; /*\n-- ops: transaction=none\n*/",
    "-- the ops team: phase two\n-- ops people allow it\nSELECT 1;",
  ])("is nothing that only looks like it: %s", (sql) => {
    expect(problems(sql)).toEqual([]);
    expect(settings(sql)).toEqual(defaultSettings);
  });

  test("does not stand behind a statement, where it would be overlooked", () => {
    expect(problems("SELECT 1;\n-- ops: transaction=none\n")[0]?.message).toMatch(
      /^1_a\.up\.sql:2:1: settings stand before the first statement/,
    );
  });
});
