import { describe, expect, test } from "vitest";
import { gateSettings } from "../../../src/config/gate-file.ts";
import { gateSchema } from "../../../src/config/schema.ts";
import { OpsError } from "../../../src/core/errors.ts";
import { checks } from "../../../src/gate/checks.ts";
import { configuredChecks } from "../../../src/run/configured-check.ts";

const kinds = new Map(checks.map((each) => [each.kind, each]));

const settingsOf = (gate: object) => gateSettings("pre-deploy", gateSchema.parse(gate), ".");

function mistakesOf(...configured: object[]): OpsError {
  try {
    configuredChecks("pre-deploy", settingsOf({ checks: configured }), kinds);
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error("the gate is valid");
}

const sql = (settings: object) => ({ id: "lag", kind: "sql", with: { query: "SELECT 1" }, ...settings });

describe("a gate that is written wrongly", () => {
  test.each([
    [
      "an unknown kind",
      sql({ kind: "sqll" }),
      'Gate pre-deploy, check lag, kind: unknown kind "sqll"',
      'did you mean "sql"?',
    ],
    [
      "an unknown key",
      sql({ with: { query: "SELECT 1", databse: "main" } }),
      'Gate pre-deploy, check lag, with.databse: unknown key "databse"',
      'did you mean "database"?',
    ],
    [
      "a missing key",
      sql({ with: {} }),
      'Gate pre-deploy, check lag, with.query: missing key "query"',
      undefined,
    ],
    [
      "a bare number as timeout",
      sql({ with: { query: "SELECT 1", timeout: "10" } }),
      'Gate pre-deploy, check lag, with.timeout: "10" is not a duration',
      "write a number with a unit: 500ms, 10s, 5m, 1h30m, 7d",
    ],
    [
      "a limit of the wrong unit",
      { id: "api", kind: "http", with: { url: "http://x/" }, fail: "> 5%" },
      'Gate pre-deploy, check api, fail: the limit "> 5%" has the wrong unit for a check of kind http',
      'write "> 500ms"',
    ],
    [
      "an answer that is to be kept",
      {
        id: "asked",
        kind: "manual",
        with: { question: "Is it announced?", role: "lead" },
        "fresh-for": "1h",
      },
      "Gate pre-deploy, check asked, fresh-for: a check of kind manual is always measured",
      undefined,
    ],
    [
      "limits of two units",
      sql({ fail: "> 5%", warn: "> 1s" }),
      'Gate pre-deploy, check lag, warn: the limits "> 5%" and "> 1s" have different units',
      undefined,
    ],
    [
      "no URL",
      { id: "api", kind: "http", with: { url: "localhost:80/health" } },
      'Gate pre-deploy, check api, with.url: "localhost:80/health" is not the URL of an HTTP server',
      "write it as https://host/path",
    ],
    [
      "a command as text",
      { id: "smoke", kind: "command", with: { command: "npm test" } },
      "Gate pre-deploy, check smoke, with.command: Invalid input: expected array, received string",
      undefined,
    ],
    [
      "a method that writes",
      { id: "api", kind: "http", with: { url: "http://x/", method: "POST" } },
      'Gate pre-deploy, check api, with.method: Invalid option: expected one of "GET"|"HEAD"|"OPTIONS"',
      undefined,
    ],
  ])("%s is named with its check and key", (_case, settings, message, hint) => {
    const error = mistakesOf(settings);

    expect(error).toMatchObject({ code: "E_GATE_INVALID", exitCode: 2, message, hint });
  });

  test("has all its mistakes told at once", () => {
    const error = mistakesOf(sql({ with: {} }), sql({ kind: "htp" }));

    expect(error.message).toBe(
      [
        "Gate pre-deploy has 3 mistakes:",
        '  check lag, with.query: missing key "query"',
        "  check lag, id: the name is used twice in this gate",
        '  check lag, kind: unknown kind "htp" (did you mean "http"?)',
      ].join("\n"),
    );
    expect(error.details).toContainEqual({
      gate: "pre-deploy",
      check: "lag",
      key: "with.query",
      message: 'missing key "query"',
    });
  });
});

test("a check takes the gate's way with the unknown unless it has its own", () => {
  const gate = settingsOf({ unknown: "warn", checks: [sql({}), sql({ id: "b", unknown: "pass" })] });

  expect(configuredChecks("g", gate, kinds).map((each) => each.unknown)).toEqual(["warn", "pass"]);
});
