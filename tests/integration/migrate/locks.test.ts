import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExitCode, errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { migrationLock, opsLockSpace } from "../../../src/postgres/ops-schema.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, shop, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

describe("several runners at once", () => {
  test.each([2, 10])("%i of them apply each migration exactly once", async (count) => {
    await using project = await Project.create(cluster, {
      "1_note.up.sql": "CREATE TABLE note (version int);\nINSERT INTO note VALUES (1);",
      "2_note.up.sql": "INSERT INTO note VALUES (2);\nSELECT pg_sleep(0.1);",
      "3_note.up.sql": "INSERT INTO note VALUES (3);",
    });
    const runs = await Promise.all(
      Array.from({ length: count }, (_, index) => perform(up, project.context(`run-${index}`), {})),
    );
    const applied = runs.map((each) => (each.output as { applied: unknown[] }).applied.length);
    expect(applied.reduce((a, b) => a + b)).toBe(3);
    expect(await project.query("SELECT version FROM note ORDER BY version")).toEqual([
      { version: 1 },
      { version: 2 },
      { version: 3 },
    ]);
  });

  test("the one that waits too long says who holds the lock", async () => {
    await using project = await Project.create(cluster, shop);
    const holder = await project.connect("ops migrate the-other");
    const { rows } = await holder.query("SELECT pg_backend_pid() AS pid");
    await holder.query("SELECT pg_advisory_lock($1, $2)", [opsLockSpace, migrationLock]);
    const error = errorRecord(
      await perform(up, project.context(), { "lock-wait": "300ms" }).catch((each) => each),
    );
    expect(error).toMatchObject({ code: "E_MIGRATION_LOCK", exitCode: ExitCode.lockHeld });
    expect(error.message).toMatch(
      new RegExp(
        `^Another run of migrations holds database main \\(pid ${rows[0].pid}, "ops migrate the-other", since \\d{4}-[\\dT:-]+Z\\); waited 300ms$`,
      ),
    );
  });

  test("the one that waits goes on as soon as the lock is free", async () => {
    await using project = await Project.create(cluster, shop);
    const holder = await project.connect("other");
    await holder.query("SELECT pg_advisory_lock($1, $2)", [opsLockSpace, migrationLock]);
    const context = project.context();
    const input = up.input.parse({});
    const before = await up.observe(context, input);
    const report = new RecordingReport();
    const running = up.apply(context, input, before, report);
    await until(() => report.lines.length > 0);
    await holder.query("SELECT pg_advisory_unlock_all()");
    expect(await running).toMatchObject({ current: "0003" });
    expect(report.lines[0]).toMatch(
      /^waiting for another run of migrations on database main: pid \d+, "other"/,
    );
  });

  test("the one that waits ends at once when it is asked to stop", async () => {
    await using project = await Project.create(cluster, shop);
    const holder = await project.connect("other");
    await holder.query("SELECT pg_advisory_lock($1, $2)", [opsLockSpace, migrationLock]);
    const context = project.context();
    const running = perform(up, context, {});
    setTimeout(() => context.requestStop(), 200);
    await expect(running).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });
});

describe("a lock on a table", () => {
  test("that is not granted in time is tried again, and the blocker is named", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "1" });
    const reader = await project.connect("report");
    await reader.query("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE");
    const error = errorRecord(
      await perform(up, project.context(), { "lock-timeout": "1s", attempts: 2 }).catch((each) => each),
    );
    expect(error).toMatchObject({ code: "E_LOCK_TIMEOUT", exitCode: ExitCode.failed });
    expect(error.message).toMatch(
      /^0002_status\.up\.sql did not get its locks in database main within 1\.0s, tried 2 times; in the way: pid \d+ "report", idle in transaction, in its transaction for \d+s, last statement at \d{4}-\S+Z: BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE$/,
    );
    expect(error.details).toMatchObject({ attempts: 2, blockers: [{ application: "report" }] });
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });
    await reader.query("ROLLBACK");
  });

  test("that is granted later is got by a later attempt", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "1" });
    const reader = await project.connect("report");
    await reader.query("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE");
    const context = project.context();
    const input = up.input.parse({ "lock-timeout": "1s" });
    const before = await up.observe(context, input);
    const report = new RecordingReport();
    const running = up.apply(context, input, before, report);
    await until(() => report.lines.length > 0);
    await reader.query("ROLLBACK");
    expect(await running).toMatchObject({ current: "0003" });
    expect(report.lines[0]).toMatch(/\(attempt 1 of 5\); in the way: pid \d+ "report", idle in transaction/);
  });

  test("lets other sessions through between the attempts", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "1" });
    const reader = await project.connect("report");
    await reader.query("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE");
    const context = project.context();
    const running = perform(up, context, { "lock-timeout": "200ms", attempts: 50 });
    const visitor = await project.connect("visitor");
    let longest = 0;
    for (let visit = 0; visit < 20; visit += 1) {
      const start = performance.now();
      await visitor.query("SELECT count(*) FROM orders");
      longest = Math.max(longest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await reader.query("ROLLBACK");
    await running;
    expect(longest).toBeLessThan(1500);
  });

  test("that two sessions wait for in a circle is tried again", async () => {
    await using project = await Project.create(cluster, {
      "1_ab.up.sql": "CREATE TABLE a (id int); CREATE TABLE b (id int);",
      "2_deadlock.up.sql": "LOCK TABLE a; SELECT pg_sleep(0.5); LOCK TABLE b; CREATE TABLE done (id int);",
    });
    await perform(up, project.context(), { to: "1" });
    const other = await project.connect("other");
    await other.query("SET deadlock_timeout = '1min'");
    await other.query("BEGIN; LOCK TABLE b");
    const running = perform(up, project.context(), { "lock-timeout": "10s" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await other.query("LOCK TABLE a");
    await other.query("COMMIT");
    await running;
    expect((await project.state()).tables).toContain("done");
  });
});
