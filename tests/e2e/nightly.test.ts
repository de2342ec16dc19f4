import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ops } from "../support/ops.ts";
import { startSandbox, type TestSandbox } from "../support/sandbox.ts";

describe("nightly.yaml", () => {
  let sandbox: TestSandbox;

  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(async () => {
    await sandbox.down();
  });

  test("makes a backup that a drill has restored, so that a gate finds it", async () => {
    const args = ["run", "runbooks/nightly.yaml", "--yes", "--json"];
    const { exitCode, stdout, stderr } = await ops(args, { config: sandbox.config });
    expect(exitCode, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ status: "done" });

    const status = await ops(["backup", "list", "--store", "local", "--json"], { config: sandbox.config });
    expect(JSON.parse(status.stdout)).toMatchObject({
      backups: [{ database: "main", drill: { verdict: "pass" } }],
    });
  });
});
