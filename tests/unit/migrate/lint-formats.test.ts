import { describe, expect, test } from "vitest";
import { type Finding, formatFinding } from "../../../src/migrate/lint/finding.ts";
import { githubAnnotations } from "../../../src/migrate/lint/github.ts";
import { sarifLog } from "../../../src/migrate/lint/sarif.ts";

const finding: Finding = {
  rule: "rewriting-table",
  severity: "error",
  file: "migrations/0001_a b.up.sql",
  line: 3,
  column: 5,
  message: "orders: 100% is\nwritten anew, truly",
  instead: "wait: do not",
  sourceLine: "    VACUUM FULL orders;",
  allowed: null,
};
const allowed: Finding = {
  ...finding,
  rule: "ban-drop-table",
  severity: "warning",
  allowed: "nobody uses it",
};
const uri = (file: string) => `services/shop/${file}`;

test("a finding is shown at its place with a caret, its rule and the way out", () => {
  expect(formatFinding({ ...finding, message: "orders is written anew" })).toBe(
    [
      "migrations/0001_a b.up.sql:3:5: error: orders is written anew [rewriting-table]",
      "  3 |     VACUUM FULL orders;",
      "    |     ^",
      "    = wait: do not",
    ].join("\n"),
  );
});

describe("GitHub annotations", () => {
  test("escape what would end a property or the message", () => {
    expect(githubAnnotations([{ ...finding, file: "a:b,c.sql" }], uri)).toEqual([
      "::error file=services/shop/a%3Ab%2Cc.sql,line=3,col=5,title=rewriting-table::orders: 100%25 is%0Awritten anew, truly%0AInstead: wait: do not",
    ]);
  });

  test("leave out what is allowed, and call a note a notice", () => {
    expect(githubAnnotations([allowed, { ...finding, severity: "note" }], uri)).toEqual([
      expect.stringMatching(/^::notice /),
    ]);
  });
});

describe("SARIF", () => {
  test("has the shape of version 2.1.0, every result with its rule and a relative URI", () => {
    expect(sarifLog([finding, allowed], uri)).toMatchObject({
      $schema: "https://json.schemastore.org/sarif-2.1.0.json",
      version: "2.1.0",
      runs: [
        {
          tool: {
            driver: {
              name: "ops migrate lint",
              rules: [{ id: "ban-drop-table" }, { id: "rewriting-table" }],
            },
          },
          results: [
            {
              ruleId: "rewriting-table",
              ruleIndex: 1,
              level: "error",
              message: { text: expect.any(String) },
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: {
                      uri: "services/shop/migrations/0001_a%20b.up.sql",
                      uriBaseId: "%SRCROOT%",
                    },
                    region: { startLine: 3, startColumn: 5, snippet: { text: finding.sourceLine } },
                  },
                },
              ],
            },
            {
              ruleId: "ban-drop-table",
              ruleIndex: 0,
              suppressions: [{ kind: "inSource", justification: "nobody uses it" }],
            },
          ],
        },
      ],
    });
  });

  test("without findings is a run without results, not nothing", () => {
    expect(sarifLog([], uri)).toMatchObject({ runs: [{ tool: { driver: { rules: [] } }, results: [] }] });
  });
});
