import { describe, expect, it } from "vitest";
import { rolesNamedIn, withMappedRoles } from "../../../src/archive/roles.ts";

const mapping = new Map([
  ["app", "app staging"],
  ["Ü ber", "plain"],
]);

describe("roles in SQL", () => {
  it.each([
    ["ALTER TABLE app.app OWNER TO app;", 'ALTER TABLE app.app OWNER TO "app staging";'],
    ['-- ü\nGRANT SELECT ON app TO "Ü ber",app;', '-- ü\nGRANT SELECT ON app TO "plain","app staging";'],
    [
      "CREATE POLICY app ON t TO app USING (app = 'app');",
      "CREATE POLICY app ON t TO \"app staging\" USING (app = 'app');",
    ],
    ["SET SESSION AUTHORIZATION app;", 'SET SESSION AUTHORIZATION "app staging";'],
    ["CREATE USER MAPPING FOR app SERVER app;", 'CREATE USER MAPPING FOR "app staging" SERVER app;'],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SET ROLE app; SELECT 1';", undefined],
    ["GRANT ALL ON t TO PUBLIC, CURRENT_USER;", undefined],
    [
      "\\restrict abc\nALTER SCHEMA s OWNER TO app;",
      '\\restrict abc\nALTER SCHEMA s OWNER TO "app staging";',
    ],
  ])("%s", async (sql, expected) => {
    expect(await withMappedRoles(sql, mapping)).toBe(expected ?? sql);
  });

  it("are found wherever the parser sees one", async () => {
    const sql =
      "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b; SET SESSION AUTHORIZATION c;";
    expect(await rolesNamedIn(sql)).toEqual(["a", "b", "c"]);
  });
});
