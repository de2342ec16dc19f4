import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ops } from "../support/ops.ts";
import { startSandbox, type TestSandbox } from "../support/sandbox.ts";

describe("nightly.yaml, and the lists around a migration after it", () => {
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

  test("migrate.yaml goes on where a list was answered, and production readiness is measured whole", async () => {
    const inSandbox = (...args: string[]) => ops(args, { config: sandbox.config });
    const answer = async (gate: string, check: string) => {
      const words = ["--by", "Ada King", "--note", "seen"];
      const { exitCode, stderr } = await inSandbox("gate", "answer", gate, check, "yes", ...words);
      expect(exitCode, stderr).toBe(0);
    };
    await writeFile(join(sandbox.dir, "freezes.yaml"), "freezes: []\n");

    const open = await inSandbox("gate", "checklist", "pre-migration");
    expect(open.exitCode, open.stderr).toBe(0);
    expect(open.stdout).toMatch(/^# Before a migration\n/);
    expect(open.stdout).toMatch(/\*\*no-go\*\* in default, 8 of 10 done/);
    expect(open.stdout).toMatch(/^- \[x\] \*\*backup\*\*: newest backup is /m);
    expect(open.stdout).toMatch(/^- \[ \] \*\*way-back\*\*: unknown: author of the migration must answer/m);

    await answer("pre-migration", "on-call");
    await answer("pre-migration", "way-back");
    const stopped = await inSandbox("run", "runbooks/migrate.yaml", "--yes", "--json");
    expect(stopped.exitCode, stopped.stderr).toBe(3);
    const run = JSON.parse(stopped.stdout) as { run: string; steps: { id: string; status: string }[] };
    expect(run.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "before done",
      "schema done",
      "after failed",
    ]);
    await answer("post-migration", "tried");
    const resumed = await inSandbox("runs", "resume", run.run, "--yes");
    expect(resumed.exitCode, resumed.stderr).toBe(0);

    await mkdir(join(sandbox.dir, "reports"));
    await writeFile(join(sandbox.dir, "reports/junit.xml"), '<testsuite><testcase name="t"/></testsuite>');
    await writeFile(join(sandbox.dir, "reports/lcov.info"), "SF:a\nDA:1,1\nend_of_record\n");
    const audit = { auditReportVersion: 2, vulnerabilities: {}, metadata: { vulnerabilities: { total: 0 } } };
    await writeFile(join(sandbox.dir, "reports/audit.json"), JSON.stringify(audit));
    for (const check of ["on-call", "runbooks", "alarms"]) await answer("production-readiness", check);
    const ready = await inSandbox("gate", "check", "production-readiness");
    expect(ready.stdout).toMatch(/Gate production-readiness: go$/m);
    expect(ready.stdout).not.toMatch(/^[?✗]/m);
    expect(ready.exitCode, ready.stderr).toBe(0);
  });
});
