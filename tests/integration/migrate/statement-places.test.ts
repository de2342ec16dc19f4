import { afterAll, beforeAll, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, status, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

test("goes on with what a SELECT set_config has set", async () => {
  const file =
    "-- ops: transaction=none\nSELECT set_config('search_path', 'side', false);\nSELECT 1 / 0;\nCREATE TABLE b (id int);";
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE SCHEMA side;",
    "2_b.up.sql": file,
  });
  await perform(up, project.context(), {}).catch(() => undefined);
  await project.write({ "2_b.up.sql": file.replace("1 / 0", "1") });
  await perform(up, project.context(), {});
  expect(await project.query("SELECT to_regclass('side.b')::text AS b")).toEqual([{ b: "side.b" }]);
});

test("a place that another run has moved on is not gone on from", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE TABLE a (id int);",
    "2_b.up.sql":
      "-- ops: transaction=none\nSELECT 1;\nDO $$ BEGIN PERFORM pg_sleep(1); COMMIT; END $$;\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);",
  });
  const running = perform(up, project.context(), {}).catch((each) => each);
  await until(async () => {
    const rows = await project.query(
      "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    );
    return rows.length > 0;
  });
  await project.query("UPDATE ops.migration_progress SET done = 3, started = NULL WHERE version = '2'");
  expect(errorRecord(await running)).toMatchObject({
    code: "E_MIGRATION_LOCK_LOST",
    message: "Another run goes on with 2_b.up.sql: its place is not at statement 2 any more",
  });
  expect(await project.query("SELECT id FROM a")).toEqual([]);
});

test("a role that the file sets needs no right to the place", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE TABLE a (id text); GRANT ALL ON a TO pg_monitor;",
    "2_b.up.sql":
      "-- ops: transaction=none\nSET ROLE pg_monitor;\nINSERT INTO a VALUES (current_user);\nINSERT INTO a VALUES (current_user);",
  });
  await perform(up, project.context(), {});
  expect(await project.query("SELECT DISTINCT id FROM a")).toEqual([{ id: "pg_monitor" }]);
});

test("what PostgreSQL refuses in a transaction, and only the server knows, runs on its own", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql":
      "CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE b PARTITION OF a DEFAULT;",
    "2_b.up.sql": "-- ops: transaction=none\nREINDEX TABLE a;\nCREATE TABLE c (id int);",
  });
  await perform(up, project.context(), {});
  expect((await project.state()).tables).toEqual(["a", "b", "c"]);
});

test("the status tells how far a file is that is done by half", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "-- ops: transaction=none\nSELECT 1;\nSELECT 2;\nSELECT 1 / 0;",
  });
  await perform(up, project.context(), {}).catch(() => undefined);
  const { output } = await perform(status, project.context(), {});
  const note = "1_a is applied by half: 2 of 3 statements are done";
  expect(output).toMatchObject({ migrations: [{ state: "pending", note }] });
  expect(status.render?.(output)).toMatch(note);
});

test("a file whose first statement failed as a whole needs nobody to be taken back", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1);",
    "1_a.down.sql": "DROP TABLE a;",
    "2_b.up.sql": "CREATE UNIQUE INDEX CONCURRENTLY i ON a (id);",
  });
  const context = project.context();
  const input = up.input.parse({});
  const before = await up.observe(context, input);
  await up.apply(context, input, before, new RecordingReport()).catch(() => undefined);
  expect(await project.query("SELECT done, started FROM ops.migration_progress")).toEqual([
    { done: 0, started: null },
  ]);
  expect(await up.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });
  expect(await project.state()).toEqual({ applied: [], tables: [] });
  expect(await project.query("SELECT FROM ops.migration_progress")).toEqual([]);
});
