import { expect, test } from "vitest";
import { splitStatements } from "../../../src/migrate/statements.ts";

test("statements begin at their first word or sign, comments and empty ones left out", async () => {
  const sql = ";; -- one;\nSELECT 1;; /* two; */ (SELECT 'a;b') UNION SELECT 2;\nDO $$;$$; -- end";
  const found = await splitStatements(sql);
  expect(found.map((each) => each.text)).toEqual(["SELECT 1", "(SELECT 'a;b') UNION SELECT 2", "DO $$;$$"]);
  expect(found.map((each) => sql.slice(each.start, each.start + each.text.length))).toEqual(
    found.map((each) => each.text),
  );
});

test("places count what JavaScript counts, behind characters of several bytes", async () => {
  const sql = "-- é 😀\nSELECT 'ß';\nCREATE INDEX i ON t (a);";
  const found = await splitStatements(sql);
  expect(found.map((each) => [sql.indexOf(each.text), each.kind])).toEqual(
    found.map((each) => [each.start, each.kind]),
  );
  expect(found.map((each) => each.kind)).toEqual(["SelectStmt", "IndexStmt"]);
});

test("bodies of functions are one statement, whatever they hold", async () => {
  const sql = `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 3; END;
CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN EXECUTE $x$ SELECT ';' $x$; END; $body$;
SELECT 1`;
  expect((await splitStatements(sql)).map((each) => each.kind)).toEqual([
    "CreateFunctionStmt",
    "CreateFunctionStmt",
    "SelectStmt",
  ]);
});

test.each(["", "  \n", "-- nothing", "/* nothing */ ;;"])("%j has no statements", async (sql) => {
  expect(await splitStatements(sql)).toEqual([]);
});

test("what is no SQL is shown with its place, counted in characters", async () => {
  await expect(splitStatements("-- é😀\nSELECT 1;\n SELCT 2", { file: "1_a.up.sql" })).rejects.toMatchObject({
    code: "E_SQL_SYNTAX",
    message: ['1_a.up.sql:3:2: syntax error at or near "SELCT"', "  3 |  SELCT 2", "    |  ^"].join("\n"),
  });
});
