import { describe, expect, test } from "vitest";
import { splitStatements } from "../../../src/migrate/statements.ts";
import { transactionStatements } from "../../../src/migrate/transaction-control.ts";

const found = async (sql: string) => transactionStatements(await splitStatements(sql));
const keywords = async (sql: string) => (await found(sql)).map((each) => each.keyword);

describe("statements that begin or end a transaction", () => {
  test.each([
    ["BEGIN; SELECT 1; COMMIT;", ["BEGIN", "COMMIT"]],
    ["begin work;\nend", ["BEGIN", "COMMIT"]],
    ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE; ROLLBACK", ["BEGIN", "ROLLBACK"]],
    ["ABORT; ROLLBACK AND CHAIN; COMMIT PREPARED 'x'", ["ROLLBACK", "ROLLBACK", "COMMIT PREPARED"]],
    ["PREPARE TRANSACTION 'x'", ["PREPARE TRANSACTION"]],
    ["-- why\n/* and /* nested */ why */ COMMIT", ["COMMIT"]],
    ["SELECT E'it\\'s'; COMMIT", ["COMMIT"]],
    ["SELECT 'a\\'; COMMIT", ["COMMIT"]],
  ])("are found in %j", async (sql, expected) => {
    expect(await keywords(sql)).toEqual(expected);
  });

  test.each([
    ["savepoints", "SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a;"],
    ["prepared statements", "PREPARE commit_later AS SELECT 1;"],
    [
      "a dollar-quoted body",
      "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN; COMMIT; END; $$;",
    ],
    ["a body with a tag", "DO $body$ BEGIN PERFORM '$$; COMMIT;'; END; $body$;"],
    [
      "a standard SQL body",
      "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN 2 END; SELECT 3; END;",
    ],
    ["strings", "SELECT 'x; COMMIT; ', 'it''s; COMMIT', E'\\'; COMMIT; '"],
    ["names", 'CREATE TABLE "a; COMMIT; b" ("end" int); SELECT "end" FROM "a; COMMIT; b"'],
    ["comments", "-- ; COMMIT;\n/* ; COMMIT; /* ; */ COMMIT; */ SELECT 1"],
    [
      "words in the middle of a statement",
      "CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1; SELECT 1 AS begin",
    ],
    ["names with a dollar sign", "SELECT a$b$c FROM t"],
    ["nothing", ""],
  ])("are not seen in %s", async (_, sql) => {
    expect(await keywords(sql)).toEqual([]);
  });

  test("are found after a standard SQL body", async () => {
    expect(await keywords("CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; COMMIT;")).toEqual(["COMMIT"]);
  });

  test("carry their place in the text", async () => {
    expect(await found("SELECT 1;\n  COMMIT;")).toEqual([
      { keyword: "COMMIT", index: 12, end: 18, plain: true },
    ]);
  });
});
