import { expect, test } from "vitest";
import { placeOfCharacter, placeOfIndex } from "../../../src/migrate/sql-position.ts";

test("a server's position counts an emoji as one character", () => {
  const sql = "SELECT '🚀🚀', missing\nFROM t";
  const character = [...sql.slice(0, sql.indexOf("missing"))].length + 1;
  expect(placeOfCharacter(sql, character)).toEqual({
    position: { line: 1, column: 14 },
    sourceLine: "SELECT '🚀🚀', missing",
  });
});

test("the first character of a later line has column 1", () => {
  expect(placeOfCharacter("a;\nb;\nc", 7).position).toEqual({ line: 3, column: 1 });
});

test("the place behind the last character is on the last line", () => {
  expect(placeOfCharacter("SELECT (", 9).position).toEqual({ line: 1, column: 9 });
});

test("tabs are shown as single spaces so that the caret stands below its character", () => {
  expect(placeOfIndex("\t\tx", 2)).toEqual({ position: { line: 1, column: 3 }, sourceLine: "  x" });
});
