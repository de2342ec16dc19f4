import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, shop, up } from "./project.ts";

const drift = operation("migrate.drift");

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.stop());

type Output = {
  differences: { state: string; kind: string; identity: string }[];
  suggestion: string[];
  notes: string[];
  reordered: string[];
};

const stateOf = (project: Project) => join(project.folder, ".ops");

async function drifted(project: Project, input: object = {}): Promise<Output> {
  const context = { ...project.context(), stateDirectory: stateOf(project) };
  return (await perform(drift, context, input)).output as Output;
}

describe("migrate.drift", () => {
  test("finds nothing where the database is what its migrations give", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "0002" });
    const output = await drifted(project);
    expect(output).toMatchObject({
      version: "0002",
      migrations: 2,
      differences: [],
      suggestion: [],
      notes: [],
    });
    expect(drift.failure?.(output)).toBeUndefined();
  });

  test("tells what was changed by hand, and the suggestion takes it back", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.query(
      `ALTER TABLE orders ADD COLUMN hot text; CREATE INDEX hotfix ON orders (hot); DROP TABLE items;
       CREATE TABLE extra (id serial PRIMARY KEY); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    const output = await drifted(project);
    expect(output.differences.map(({ state, kind, identity }) => `${state} ${kind} ${identity}`)).toEqual([
      "missing table public.items",
      "unexpected function public.f()",
      "unexpected table public.extra",
      "unexpected column public.orders.hot",
      "unexpected index public.hotfix",
    ]);
    expect(drift.failure?.(output)).toMatchObject({ code: "E_DRIFT", exitCode: 3 });
    for (const statement of output.suggestion) await project.query(statement);
    expect((await drifted(project)).differences).toEqual([]);
  });

  test("a changed object is shown with both definitions", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.query("ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new'");
    const output = await drifted(project);
    expect(output.differences).toEqual([
      {
        state: "changed",
        kind: "column",
        identity: "public.orders.status",
        expected: "status text",
        live: "status text DEFAULT 'new'::text",
      },
    ]);
    expect(drift.render?.(output)).toContain("  - status text\n  + status text DEFAULT 'new'::text");
  });

  test("roles of the live cluster are there for grants, and those that a migration makes are left to it", async () => {
    await using project = await Project.create(cluster, {
      "1_grants.up.sql":
        "CREATE ROLE drift_made; CREATE TABLE a (id int); GRANT SELECT ON a TO drift_made, drift_given;",
    });
    await project.query("CREATE ROLE drift_given");
    await perform(up, project.context(), {});
    try {
      expect((await drifted(project)).differences).toEqual([]);
    } finally {
      await project.query("DROP TABLE a; DROP ROLE drift_made, drift_given");
    }
  });

  test("the table of another migration tool and what is to be ignored are no drift", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.query(
      "CREATE TABLE schema_migrations (version text PRIMARY KEY); CREATE SCHEMA audit; CREATE TABLE audit.log (id int)",
    );
    expect((await drifted(project, { ignore: ["audit", "audit.*"] })).differences).toEqual([]);
    expect((await drifted(project)).differences.map((each) => each.identity)).toEqual(["audit", "audit.log"]);
  });

  test("an edited file is told, and a missing one refused", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.write({ "0003_items.up.sql": "CREATE TABLE items (id int, more int);" });
    const output = await drifted(project);
    expect(output.notes).toEqual([
      expect.stringContaining("0003_items.up.sql was changed after it was applied"),
    ]);
    expect(output.differences).toMatchObject([
      { state: "missing", kind: "column", identity: "public.items.more" },
    ]);
    await project.remove("0003_items.up.sql");
    await project.remove("0003_items.down.sql");
    await expect(drifted(project)).rejects.toMatchObject({ code: "E_MIGRATIONS", exitCode: 2 });
  });

  test("what a repeatable migration makes is not compared while its text is another than the applied one", async () => {
    await using project = await Project.create(cluster, {
      "V1__a.sql": "CREATE TABLE a (id int);",
      "R__a_view.sql": "CREATE OR REPLACE VIEW v AS SELECT id FROM a;\nCOMMENT ON VIEW v IS 'a';",
      "R__b_view.sql": "CREATE OR REPLACE VIEW w AS SELECT id FROM a;",
    });
    await perform(up, project.context(), {});
    await project.query("DROP VIEW w");
    // For a column that is pending.
    await project.write({ "R__a_view.sql": "CREATE OR REPLACE VIEW v AS SELECT id, more FROM a;" });
    expect(await drifted(project)).toMatchObject({
      differences: [{ state: "missing", kind: "view", identity: "public.w" }],
      notes: [expect.stringMatching(/^R__a_view.sql was changed after it was applied: /)],
    });
  });

  test("migrations that cannot run from empty are named, and no server is left behind", async () => {
    await using project = await Project.create(cluster, { "1_a.up.sql": "CREATE TABLE a (id int);" });
    await perform(up, project.context(), {});
    await project.write({ "1_a.up.sql": "INSERT INTO nowhere VALUES (1);" });
    await expect(drifted(project)).rejects.toMatchObject({
      code: "E_MIGRATIONS_FROM_EMPTY",
      message: expect.stringContaining('relation "nowhere" does not exist'),
    });
    expect(await readdir(join(stateOf(project), "throw-away"))).toEqual([]);
  });
});
