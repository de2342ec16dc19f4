import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const runner = fileURLToPath(new URL("runner.ts", import.meta.url));

const indexes = (project: Project) =>
  project.query<{ name: string; valid: boolean }>(
    "SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1",
  );

const partitions = (project: Project) =>
  project.query("SELECT inhrelid::regclass::text AS name, inhdetachpending AS pending FROM pg_inherits");

/** A transaction whose snapshot has read the table: what is done concurrently waits for its end. */
async function hold(project: Project, table: string) {
  const holder = await project.connect("holder");
  await holder.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM ${table}`);
  return holder;
}

const working = async (project: Project, sql: string) =>
  (
    await project.query(
      `SELECT FROM pg_stat_activity WHERE application_name LIKE 'ops migrate%' AND query ~ '${sql}' AND state = 'active'
         AND wait_event_type = 'Lock' AND datname = current_database()`,
    )
  ).length > 0;

/** Kills a run while it waits in a statement for another transaction, and waits until its server process is gone. */
async function killIn(project: Project, sql: string): Promise<void> {
  const child = spawn(process.execPath, [runner, "migrate.up", project.url, project.folder], {
    stdio: "ignore",
  });
  const exit = once(child, "exit");
  try {
    await until(() => working(project, sql));
  } finally {
    child.kill("SIGKILL");
    await exit;
  }
  await until(async () => !(await working(project, sql)));
}

describe("REINDEX CONCURRENTLY", () => {
  const files = {
    "1_a.up.sql": "CREATE TABLE a (id int, note text);\nCREATE INDEX a_id ON a (id);",
    "2_again.up.sql": "REINDEX TABLE CONCURRENTLY a;",
  };
  const rebuilt = [{ name: "a_id", valid: true }];

  test("that was killed leaves no half-built copy behind once it is run again", async () => {
    await using project = await Project.create(cluster, files);
    await perform(up, project.context(), { to: "1" });
    const holder = await hold(project, "a");
    await killIn(project, "REINDEX");
    expect(await indexes(project)).toContainEqual({ name: "a_id_ccnew", valid: false });
    await holder.query("ROLLBACK");

    const { report } = await perform(up, project.context(), {});

    expect(await indexes(project)).toEqual(rebuilt);
    expect(await project.query("SELECT FROM pg_index WHERE NOT indisvalid")).toEqual([]);
    expect(report.lines).toContain("index public.a_id_ccnew was left invalid by an earlier try: dropped");
  });

  test("that failed leaves none behind at once", async () => {
    await using project = await Project.create(cluster, {
      ...files,
      "2_again.up.sql": "-- ops: statement_timeout=500ms\nREINDEX INDEX CONCURRENTLY a_id;",
    });
    await perform(up, project.context(), { to: "1" });
    const holder = await hold(project, "a");
    const failing = perform(up, project.context(), {}).catch((each) => errorRecord(each));
    await until(async () => (await indexes(project)).length > 1);
    // Dropping waits for it as well.
    await until(() => working(project, "DROP INDEX"));
    await holder.query("ROLLBACK");
    expect(await failing).toMatchObject({ code: "E_MIGRATION_FAILED" });
    expect(await indexes(project)).toEqual(rebuilt);
  });
});

describe("DETACH PARTITION CONCURRENTLY", () => {
  const files = {
    "1_p.up.sql":
      "CREATE TABLE p (id int) PARTITION BY RANGE (id);\nCREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);",
    "2_detach.up.sql": "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\nDROP TABLE p1;",
  };

  test("that was killed by half is finalized, and the file goes on behind it", async () => {
    await using project = await Project.create(cluster, files);
    await perform(up, project.context(), { to: "1" });
    const holder = await hold(project, "p");
    await killIn(project, "DETACH");
    expect(await partitions(project)).toEqual([{ name: "p1", pending: true }]);
    await holder.query("ROLLBACK");

    await perform(up, project.context(), {});

    expect(await project.state()).toEqual({ applied: ["1", "2"], tables: ["p"] });
  });

  test("that does not get its locks in time is finalized by the next try, or by the next run", async () => {
    await using project = await Project.create(cluster, {
      ...files,
      "2_detach.up.sql": `-- ops: lock_timeout=100ms\n${files["2_detach.up.sql"]}`,
    });
    await perform(up, project.context(), { to: "1" });
    const holder = await hold(project, "p");
    const failed = await perform(up, project.context(), { attempts: 2 }).catch((each) => errorRecord(each));
    expect(failed).toMatchObject({ code: "E_LOCK_TIMEOUT" });
    expect(await partitions(project)).toEqual([{ name: "p1", pending: true }]);
    await holder.query("ROLLBACK");
    await perform(up, project.context(), {});
    expect(await project.state()).toEqual({ applied: ["1", "2"], tables: ["p"] });
  });

  test("that was done before the run was killed is taken as done", async () => {
    await using project = await Project.create(cluster, files);
    await perform(up, project.context(), { to: "1" });
    await project.query("ALTER TABLE p DETACH PARTITION p1");
    await project.query(
      `INSERT INTO ops.migration_progress (version, name, direction, done, total, done_checksum, started)
       VALUES ('2', 'detach', 'up', 0, 2, 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0)`,
    );
    await perform(up, project.context(), {});
    expect(await project.state()).toEqual({ applied: ["1", "2"], tables: ["p"] });
  });
});

test("an index without a name that could not be built is dropped, and no other invalid one", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1), (1);",
    "2_index.up.sql": "CREATE UNIQUE INDEX CONCURRENTLY ON a (id);",
  });
  await perform(up, project.context(), { to: "1" });
  await project.query("CREATE UNIQUE INDEX CONCURRENTLY theirs ON a (id)").catch(() => undefined);
  const theirs = { name: "theirs", valid: false };
  const failed = await perform(up, project.context(), {}).catch((each) => errorRecord(each));
  expect(failed).toMatchObject({ code: "E_MIGRATION_FAILED" });
  expect(await indexes(project)).toEqual([theirs]);
  await project.query("DELETE FROM a WHERE ctid NOT IN (SELECT min(ctid) FROM a)");
  await perform(up, project.context(), {});
  expect(await indexes(project)).toEqual([{ name: "a_id_idx", valid: true }, theirs]);
});
