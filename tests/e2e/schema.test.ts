import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ops, projectRoot } from "../support/ops.ts";

/** What an editor makes of `ops runbook schema`. */
describe("the JSON Schema of runbooks", () => {
  let validate: ValidateFunction;

  beforeAll(async () => {
    const { stdout } = await ops(["runbook", "schema"]);
    validate = new Ajv2020({ strict: false }).compile(JSON.parse(stdout));
  });

  const runbook = (step: object) => ({ name: "r", steps: [{ id: "s", ...step }] });

  test.each(readdirSync(join(projectRoot, "runbooks")))("accepts runbooks/%s", (file) => {
    validate(parse(readFileSync(join(projectRoot, "runbooks", file), "utf8")));
    expect(validate.errors).toBeNull();
  });

  test.each([
    [
      "a step of a parallel group",
      { name: "r", steps: [{ parallel: [{ id: "s", uses: "backup.create" }] }] },
    ],
    [
      "an expression for any value",
      runbook({ uses: "traffic.shift", with: { to: "green", share: "${{ inputs.share }}" } }),
    ],
    [
      "retries and time limits",
      runbook({ uses: "migrate.up", timeout: "10m", retry: { attempts: 3, on: ["lock_timeout"] } }),
    ],
  ])("accepts %s", (_, value) => {
    validate(value);
    expect(validate.errors).toBeNull();
  });

  test.each([
    ["an operation that does not exist", runbook({ uses: "backup.make" })],
    ["a key that does not exist", runbook({ uses: "backup.create", whit: {} })],
    ["an input of another operation", runbook({ uses: "backup.create", with: { flag: "x" } })],
    ["an input of the wrong type", runbook({ uses: "flag.set", with: { flag: 7 } })],
    ["a step without an id", { name: "r", steps: [{ uses: "backup.create" }] }],
    ["no steps", { name: "r", steps: [] }],
    ["missing inputs", runbook({ uses: "flag.set" })],
  ])("refuses %s", (_, value) => {
    expect(validate(value)).toBe(false);
  });
});
