import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, operation, Project, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const indexed = {
  "1_a.up.sql":
    "CREATE TABLE a (id int, note text);\nINSERT INTO a SELECT 1, 'x' FROM generate_series(1, 3);",
  "2_index.up.sql":
    "ALTER TABLE a ADD COLUMN done bool;\n-- why; not\nCREATE INDEX CONCURRENTLY a_id ON a (id);\nINSERT INTO a VALUES (9);",
  "2_index.down.sql":
    "DROP INDEX CONCURRENTLY a_id;\nALTER TABLE a DROP COLUMN done;\nDELETE FROM a WHERE id = 9;",
};

async function indexes(project: Project) {
  return project.query<{ name: string; valid: boolean }>(
    "SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1",
  );
}

const progress = (project: Project) =>
  project.query("SELECT version, direction, done, total, started FROM ops.migration_progress");

describe("a file that cannot run in one transaction", () => {
  test("runs statement by statement, both ways, and the plan says that it is not atomic", async () => {
    await using project = await Project.create(cluster, indexed);
    const { changes } = await perform(up, project.context(), {});
    expect(changes[1]?.summary).toBe("apply 2_index (not atomic: 3 statements, each kept when it is done)");
    expect(await indexes(project)).toEqual([{ name: "a_id", valid: true }]);
    expect(await progress(project)).toEqual([]);
    await perform(down, project.context(), {});
    expect(await indexes(project)).toEqual([]);
    expect((await project.state()).applied).toEqual(["1"]);
  });

  test("goes on at the statement that failed, once it is mended", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "2_index.up.sql": `${indexed["2_index.up.sql"]}\nINSERT INTO nowhere VALUES (1);`,
    });
    const error = errorRecord(await perform(up, project.context(), {}).catch((each) => each));
    expect(error).toMatchObject({
      code: "E_MIGRATION_FAILED",
      message: [
        '2_index.up.sql:5:13: relation "nowhere" does not exist',
        "  5 | INSERT INTO nowhere VALUES (1);",
        "    |             ^",
        "Statement 4 of 4 failed; the 3 before it are kept, and the next try goes on there",
      ].join("\n"),
    });
    expect(await progress(project)).toEqual([
      { version: "2", direction: "up", done: 3, total: 4, started: null },
    ]);
    await project.write({ "2_index.up.sql": indexed["2_index.up.sql"] });
    const { report } = await perform(up, project.context(), {});
    expect(report.lines).toEqual(["2_index.up.sql: its 3 statements are done, only the record is missing"]);
    expect(await project.query("SELECT count(*)::int AS n FROM a WHERE id = 9")).toEqual([{ n: 1 }]);
    expect(await project.state()).toMatchObject({ applied: ["1", "2"] });
  });

  test("keeps redo from taking away the ground it stands on, before the plan and after it", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "1_a.down.sql": "DROP TABLE a CASCADE;",
    });
    const redo = operation("migrate.redo");
    await perform(up, project.context(), { to: "1" });
    const input = redo.input.parse({});
    const before = await redo.observe(project.context(), input);
    await project.write({
      "2_index.up.sql": `${indexed["2_index.up.sql"]}\nINSERT INTO nowhere VALUES (1);`,
    });
    await perform(up, project.context(), {}).catch(() => undefined);
    const refused = { code: "E_MIGRATIONS", message: expect.stringMatching(/^2_index /) };
    const planned = perform(redo, project.context(), {});
    expect(errorRecord(await planned.catch((each) => each))).toMatchObject(refused);
    const applied = redo.apply(project.context(), input, before, new RecordingReport());
    expect(errorRecord(await applied.catch((each) => each))).toMatchObject(refused);
    expect(await indexes(project)).toEqual([{ name: "a_id", valid: true }]);
  });

  test("does not go on where the statements that are done were edited", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "2_index.up.sql": `${indexed["2_index.up.sql"]}\nINSERT INTO nowhere VALUES (1);`,
    });
    await perform(up, project.context(), {}).catch(() => undefined);
    await project.write({ "2_index.up.sql": indexed["2_index.up.sql"].replace("bool", "text") });
    const refused = {
      code: "E_MIGRATION_HALF_DONE",
      message: "2_index.up.sql was changed above statement 4, where it is to go on: the 3 before are done",
      hint: "restore the statements that are done as they were; what comes after them may be changed",
    };
    const goOn = perform(up, project.context(), {});
    expect(errorRecord(await goOn.catch((each) => each))).toMatchObject(refused);
    // Nor is it settled by number: another statement would count as done.
    await project.query("UPDATE ops.migration_progress SET started = done");
    const settle = perform(operation("migrate.repair"), project.context(), { accept: ["2"] });
    expect(errorRecord(await settle.catch((each) => each))).toMatchObject(refused);
  });

  test("builds an index again that a failed try has left invalid", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "2_index.up.sql": "CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id);",
    });
    const error = errorRecord(await perform(up, project.context(), {}).catch((each) => each));
    expect(error.message).toMatch(/could not create unique index "a_id"/);
    expect(await indexes(project)).toEqual([]);
    await project.query("DELETE FROM a WHERE ctid NOT IN (SELECT min(ctid) FROM a)");
    await perform(up, project.context(), {});
    expect(await indexes(project)).toEqual([{ name: "a_id", valid: true }]);
  });

  test("adds a value to an enum and uses it", async () => {
    await using project = await Project.create(cluster, {
      "1_mood.up.sql": "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE m (mood mood);",
      "2_mood.up.sql": "ALTER TYPE mood ADD VALUE 'happy';\nINSERT INTO m VALUES ('happy');",
      "3_mood.up.sql": "ALTER TYPE mood ADD VALUE 'bored';",
    });
    const { changes } = await perform(up, project.context(), {});
    expect(changes.map((each) => each.summary.includes("not atomic"))).toEqual([false, true, false]);
    expect(await project.query("SELECT mood FROM m")).toEqual([{ mood: "happy" }]);
  });

  test("keeps what it has SET from statement to statement, and no longer", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE SCHEMA side; CREATE TABLE side.a (id int);",
      "2_b.up.sql":
        "-- ops: transaction=none\nSET search_path = side;\nINSERT INTO a VALUES (1);\nCREATE INDEX CONCURRENTLY i ON a (id);",
      "3_c.up.sql": "CREATE TABLE c (id int);",
    });
    await perform(up, project.context(), {});
    expect((await project.state()).tables).toEqual(["c"]);
  });
});

describe("a statement that an earlier run was killed in", () => {
  const killedIn = async (project: Project, done: number, doneChecksum: string) => {
    await project.query(
      `INSERT INTO ops.migration_progress (version, name, direction, done, total, done_checksum, started)
       VALUES ('2', 'index', 'up', ${done}, 3, '${doneChecksum}', ${done})`,
    );
  };
  const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

  test("is taken as done where its index is valid", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "2_index.up.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id);\nINSERT INTO a VALUES (9);",
    });
    await perform(up, project.context(), { to: "1" });
    await project.query("CREATE INDEX a_id ON a (id)");
    await killedIn(project, 0, empty);
    await perform(up, project.context(), {});
    expect(await indexes(project)).toEqual([{ name: "a_id", valid: true }]);
  });

  test("stops the run where nobody can tell, and says how to settle it", async () => {
    await using project = await Project.create(cluster, {
      ...indexed,
      "2_index.up.sql": "-- ops: transaction=none\nDO $$ BEGIN INSERT INTO a VALUES (5); COMMIT; END $$;",
    });
    await perform(up, project.context(), { to: "1" });
    await killedIn(project, 0, empty);
    expect(errorRecord(await perform(up, project.context(), {}).catch((each) => each))).toMatchObject({
      code: "E_MIGRATION_HALF_DONE",
      message:
        "2_index.up.sql:2: an earlier run ended in the middle of statement 1 of 1, and nothing tells whether it had its effect",
      hint: "look at the database; then, where it had: ops migrate repair --accept 2; where it had not: ops migrate repair --retry 2",
    });
  });
});

test("neither the lock on the runner nor its connection holds a concurrent index up", async () => {
  await using project = await Project.create(cluster, indexed);
  const started = performance.now();
  await perform(up, project.context(), {});
  expect(performance.now() - started).toBeLessThan(5000);
});

test("the connection that holds the lock is lost: the migration under way is rolled back, the next one not begun", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "-- ops: lock_timeout=1m\nCREATE TABLE a (id int);\nLOCK TABLE side.gate;",
    "2_b.up.sql": "CREATE TABLE b (id int);",
  });
  await project.query("CREATE SCHEMA side; CREATE TABLE side.gate ()");
  const holder = await project.connect("holder");
  await holder.query("BEGIN; LOCK TABLE side.gate");
  const running = perform(up, project.context("run-1"), {}).catch((each) => each);
  await until(async () => (await project.query("SELECT FROM pg_locks WHERE NOT granted")).length > 0);
  await project.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
  await holder.query("ROLLBACK");
  expect(errorRecord(await running)).toMatchObject({ code: "E_MIGRATION_LOCK_LOST" });
  expect(await project.state()).toEqual({ applied: [], tables: [] });
});

test("a long statement tells how far it is, by the server's own count", async () => {
  await using project = await Project.create(cluster, {
    "1_a.up.sql":
      "CREATE TABLE a AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 400000) AS g;",
    "2_index.up.sql": "-- ops: lock_timeout=100ms\nCREATE INDEX a_note ON a (note);",
  });
  const { report } = await perform(up, project.context(), {});
  expect(report.messages.join("\n")).toMatch(/^building index /m);
});
