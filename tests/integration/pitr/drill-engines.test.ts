import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { ops } from "../../support/ops.ts";
import { type EngineSetting, engines } from "./engines.ts";
import { operation } from "./setting.ts";

/* What is held before something dangerous, and afterwards, is the same whatever archives the cluster. */

describe.each(Object.entries(engines))("with the engine %s", (_engine, start) => {
  let setting: EngineSetting;
  const run = (...args: string[]) => ops(args, { config: setting.config, cwd: setting.folder });

  beforeAll(async () => {
    setting = await start();
    await mkdir(join(setting.folder, "migrations"));
    await writeFile(join(setting.folder, "migrations/0001_orders.up.sql"), "CREATE TABLE orders (n int);\n");
    await perform(operation("pitr.base.create"), setting.context(), {});
    await setting.query("CREATE TABLE kept AS SELECT 1 AS n");
  }, 120_000);
  afterAll(() => setting?.stop());

  it("migrate up makes a restore point first", async () => {
    const done = await run("migrate", "up");

    expect(done, done.stderr).toMatchObject({ exitCode: 0 });
    expect(done.stderr).toMatch(/restore point of main at 0\/[0-9A-F]+; to go back: ops pitr restore/);
  });

  it("a drill restores, measures and is shown", async () => {
    await setting.untilArchived();
    const asked = ["--checks", "SELECT count(*) <= 1 FROM pg_class WHERE relname = 'orders'", "--json"];
    const held = await run("pitr", "drill", ...asked);

    expect(held, held.stderr + held.stdout).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(held.stdout)).toMatchObject({ verdict: "pass", databases: ["postgres", "template1"] });
    expect(JSON.parse(held.stdout).recoveryPointMs).toBeGreaterThan(0);
    expect((await run("pitr", "window")).stdout).toContain("newest drill");
    expect((await run("pitr", "drill", "--every", "7d")).stdout).toContain("No drill is due");
  }, 90_000);

  it("a drill that fails ends with exit code 1", async () => {
    const failed = await run("pitr", "drill", "--latest", "--rto", "1ms");

    expect(failed, failed.stderr).toMatchObject({ exitCode: 1 });
    expect(failed.stdout).toContain("FAILED, the recovery time is");
    expect((await run("pitr", "window")).stdout).toContain("failed: the recovery time is");
  }, 90_000);
});
