import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, type TestContext, testContext } from "../../support/context.ts";
import { type Pooler, startPooler } from "../../support/pgbouncer.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, Project, up } from "./project.ts";

let cluster: Cluster;
let pooler: Pooler;
beforeAll(async () => {
  cluster = await startTestCluster();
  pooler = await startPooler(cluster);
});
afterAll(async () => {
  await pooler[Symbol.asyncDispose]();
  await cluster.stop();
});

function through(project: Project, runId = "run-1"): TestContext {
  const url = pooler.url(new URL(project.url).pathname.slice(1));
  return {
    ...testContext({ databases: { main: { url, migrations: project.folder } } }),
    runId,
    actor: "ann@laptop",
  };
}

/** As another client of the same pool, whose only server session is the one that the migration has used. */
async function pooledQuery(project: Project, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: pooler.url(new URL(project.url).pathname.slice(1)) });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const notes = {
  "1_note.up.sql": "CREATE TABLE note (version int);\nINSERT INTO note VALUES (1);",
  "2_note.up.sql": "INSERT INTO note VALUES (2);\nSELECT pg_sleep(0.1);",
  "3_note.up.sql": "CREATE INDEX CONCURRENTLY note_version ON note (version);\nINSERT INTO note VALUES (3);",
  "3_note.down.sql": "DROP INDEX CONCURRENTLY note_version;\nDELETE FROM note WHERE version = 3;",
};

describe("through PgBouncer in transaction mode", () => {
  test("twenty runners apply each migration exactly once", async () => {
    await using project = await Project.create(cluster, notes);
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => perform(up, through(project, `run-${index}`), {})),
    );
    const applied = runs.map((each) => (each.output as { applied: unknown[] }).applied.length);
    expect(applied.reduce((a, b) => a + b)).toBe(3);
    expect(await project.query("SELECT version FROM note ORDER BY version")).toEqual([
      { version: 1 },
      { version: 2 },
      { version: 3 },
    ]);
  });

  test("ten direct ones and ten pooled ones, too", async () => {
    await using project = await Project.create(cluster, notes);
    const contexts = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0 ? through(project, `run-${index}`) : project.context(`run-${index}`),
    );
    await Promise.all(contexts.map((each) => perform(up, each, {})));
    expect((await project.query("SELECT version FROM note")).length).toBe(3);
  });

  test("nothing that a file sets reaches another client of the same server", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql":
        "SET search_path = pg_catalog;\nSET statement_timeout = '1h';\nCREATE TABLE public.a (id int);",
    });
    await perform(up, through(project), {});
    const settings = await pooledQuery(
      project,
      "SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement",
    );
    expect(settings).toEqual([{ path: '"$user", public', lock: "0", statement: "0" }]);
  });

  test("a way back runs statement by statement", async () => {
    await using project = await Project.create(cluster, notes);
    await perform(up, through(project), {});
    await perform(down, through(project), {});
    expect((await project.state()).applied).toEqual(["1", "2"]);
  });

  test("the holder of the lock is named", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(2);",
    });
    const first = perform(up, through(project, "the-first"), {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    const error = errorRecord(
      await perform(up, through(project, "the-second"), { "lock-wait": "200ms" }).catch((each) => each),
    );
    expect(error.code).toBe("E_MIGRATION_LOCK");
    expect(error.message).toMatch(/\(pid \d+, "ops migrate the-first", since \S+Z\); waited 200ms$/);
    await first;
  });

  test("a blocker is named", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_b.up.sql": "ALTER TABLE a ADD COLUMN b int;",
    });
    await perform(up, through(project), { to: "1" });
    const reader = await project.connect("report");
    await reader.query("BEGIN; LOCK TABLE a IN ACCESS SHARE MODE");
    const error = errorRecord(
      await perform(up, through(project), { "lock-timeout": "200ms", attempts: 1 }).catch((each) => each),
    );
    expect(error).toMatchObject({
      code: "E_LOCK_TIMEOUT",
      details: { blockers: [{ application: "report" }] },
    });
    await reader.query("ROLLBACK");
  });

  test("a file that SETs outside a transaction is refused with the way out", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_b.up.sql": "SET search_path = public;\nCREATE INDEX CONCURRENTLY i ON a (id);",
    });
    expect(errorRecord(await perform(up, through(project), {}).catch((each) => each))).toMatchObject({
      code: "E_MIGRATION_POOLED",
      hint: "connect to PostgreSQL itself for this migration",
    });
  });

  test.each([
    ["a SELECT", "SELECT set_config('search_path', 'pg_catalog', false)"],
    ["a DO", "DO $$ BEGIN PERFORM set_config('search_path', 'pg_catalog', false); END $$"],
  ])(
    "a set_config that outlives its transaction is refused before anything of its file runs: %s",
    async (_, sets) => {
      await using project = await Project.create(cluster, {
        "1_a.up.sql": `-- ops: transaction=none\nCREATE TABLE a (id int);\n${sets};`,
      });
      const error = errorRecord(await perform(up, through(project), {}).catch((each) => each));
      expect(error).toMatchObject({ code: "E_MIGRATION_POOLED" });
      expect((await project.state()).tables).toEqual([]);
    },
  );

  test("what a function sets in a file that runs statement by statement reaches nobody else", async () => {
    await using project = await Project.create(cluster, {
      "1_f.up.sql":
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'pg_catalog', false) $$;",
      "2_a.up.sql": "-- ops: transaction=none\nSELECT f();\nCREATE TABLE a (id int);",
    });
    await perform(up, through(project), {});
    expect((await project.state()).tables).toEqual(["a"]);
    expect(await pooledQuery(project, "SELECT current_setting('search_path') AS path")).toEqual([
      { path: '"$user", public' },
    ]);
  });
});
