import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, status, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const failure = async (running: Promise<unknown>) => errorRecord(await running.catch((each) => each));

/** The second statement fails until there is a table `b`. */
const half = {
  "1_a.up.sql": "CREATE TABLE a (id int);",
  "2_half.up.sql": "-- ops: transaction=none\nINSERT INTO a VALUES (1);\nINSERT INTO b VALUES (1);",
};

async function halfDone(): Promise<Project> {
  const project = await Project.create(cluster, half);
  expect(await failure(perform(up, project.context(), {}))).toMatchObject({ code: "E_MIGRATION_FAILED" });
  return project;
}

describe("a file that is half done", () => {
  test("goes on under another spelling of its version, and no statement runs twice", async () => {
    await using project = await halfDone();
    await project.remove("2_half.up.sql");
    await project.write({ "0002_half.up.sql": half["2_half.up.sql"] });
    await project.query("CREATE TABLE b (id int)");

    await perform(up, project.context(), {});

    expect(await project.query("SELECT FROM a")).toHaveLength(1);
    expect((await project.state()).applied).toEqual(["0002", "1"]);
    expect(await project.query("SELECT FROM ops.migration_progress")).toEqual([]);
  });

  test("has nothing to settle where no statement is in doubt, and says how it goes on", async () => {
    await using project = await halfDone();
    for (const named of [{ accept: ["2"] }, { retry: ["2"] }]) {
      expect(await failure(perform(operation("migrate.repair"), project.context(), named))).toMatchObject({
        code: "E_INPUT",
        message: "2_half is applied by half: 1 of 2 statements are done, and none is in doubt",
        hint: "mend what is left of its file, and run: ops migrate up",
      });
    }
    await project.write({ "1_a.down.sql": "SELECT 1;" });
    expect(await failure(perform(operation("migrate.down"), project.context(), {}))).toMatchObject({
      hint: "finish it: ops migrate up; where it cannot be finished, change what is left of its file",
    });
  });

  test.each(["renumbered", "removed"])(
    "stops what comes next where it was %s, until it is settled",
    async (fate) => {
      await using project = await halfDone();
      await project.remove("2_half.up.sql");
      await project.write({
        "3_c.up.sql": fate === "removed" ? "CREATE TABLE c ();" : half["2_half.up.sql"],
      });
      await project.query("CREATE TABLE b (id int)");

      expect(await failure(perform(up, project.context(), {}))).toMatchObject({
        code: "E_MIGRATIONS",
        message: "2_half is applied by half: 1 of 2 statements are done, and its file is gone",
        hint: "restore it under version 2, or forget what was done: ops migrate repair --accept 2",
      });
      expect((await perform(status, project.context(), {})).output).toMatchObject({
        migrations: [
          { version: "1", state: "applied" },
          { version: "2", state: "missing", note: "2_half is applied by half: 1 of 2 statements are done" },
          { version: "3", state: "pending" },
        ],
      });
      expect(await project.query("SELECT FROM a")).toHaveLength(1);

      await perform(operation("migrate.repair"), project.context(), { accept: ["2"] });
      await perform(up, project.context(), {});
      expect((await project.state()).applied).toEqual(["1", "3"]);
    },
  );
});

describe("statement by statement", () => {
  test("the lock_timeout of one statement is not that of a concurrent one behind it", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_index.up.sql": `-- ops: transaction=none
SET lock_timeout = '1min';
DO $$ BEGIN COMMIT; END $$;
CREATE INDEX CONCURRENTLY a_id ON a (id);
CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS own;`,
    });
    await perform(up, project.context(), { to: "1" });
    const other = await project.connect();
    await other.query("BEGIN; INSERT INTO a VALUES (1)");
    const running = perform(up, project.context(), { "lock-timeout": "50ms", attempts: 1 });
    await until(async () => (await waiting(project)) > 0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await other.query("COMMIT");
    await running;
    expect((await project.state()).applied).toEqual(["1", "2"]);
  });

  test("a VACUUM FULL does not keep the application waiting for long", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_vacuum.up.sql": "VACUUM FULL a;",
    });
    await perform(up, project.context(), { to: "1" });
    const other = await project.connect();
    await other.query("BEGIN; INSERT INTO a VALUES (1)");
    const limits = { "lock-timeout": "50ms", attempts: 2 };
    expect(await failure(perform(up, project.context(), limits))).toMatchObject({ code: "E_LOCK_TIMEOUT" });
    await other.query("COMMIT");
    await perform(up, project.context(), limits);
    expect((await project.state()).applied).toEqual(["1", "2"]);
  });

  test("a DO that cannot commit is in one transaction with its place, and is tried again", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_do.up.sql": "-- ops: transaction=none\nDO $$ BEGIN INSERT INTO a VALUES (1); END $$;",
    });
    await perform(up, project.context(), { to: "1" });
    const other = await project.connect();
    await other.query("BEGIN; LOCK TABLE a");
    const running = perform(up, project.context(), { "lock-timeout": "50ms", attempts: 9 });
    await until(async () => (await waiting(project)) > 0);
    await other.query("COMMIT");
    await running;
    expect(await project.query("SELECT FROM a")).toHaveLength(1);
  });

  test("a DO that may have committed a part is not tried again by itself", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);\nCREATE TABLE b (id int);",
      "2_do.up.sql": `-- ops: transaction=none
DO $$ BEGIN INSERT INTO a VALUES (1); COMMIT; INSERT INTO b VALUES (1); END $$;`,
    });
    await perform(up, project.context(), { to: "1" });
    const other = await project.connect();
    await other.query("BEGIN; LOCK TABLE b");
    const limits = { "lock-timeout": "50ms", attempts: 5 };
    expect(await failure(perform(up, project.context(), limits))).toMatchObject({ code: "E_LOCK_TIMEOUT" });
    await other.query("COMMIT");
    expect(await failure(perform(up, project.context(), limits))).toMatchObject({
      code: "E_MIGRATION_HALF_DONE",
      message: expect.stringContaining("nothing tells whether it had its effect"),
    });
    expect(await project.query("SELECT FROM a")).toHaveLength(1);
  });
});

async function waiting(project: Project): Promise<number> {
  const found = await project.query("SELECT FROM pg_locks WHERE NOT granted");
  return found.length;
}
