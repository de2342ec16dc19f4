import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { compareSchemas } from "../../../src/postgres-schema/comparison.ts";
import { perform, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { createRichDatabase, run, schemaOf } from "../postgres-schema/database.ts";
import { operation, Project, shop, up } from "./project.ts";

const snapshot = operation("migrate.snapshot");

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster({ wal_level: "logical" });
});
afterAll(() => cluster?.stop());

describe("migrate.snapshot", () => {
  test("writes the same text for the same schema, without our own tables and without noise", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    const into = join(project.folder, "schema.txt");
    expect((await perform(snapshot, project.context(), { into })).output).toMatchObject({
      state: "written",
      file: into,
    });
    const first = await readFile(into, "utf8");
    expect(first).toContain("CREATE TABLE public.orders (\n    id integer NOT NULL,\n    status text\n);");
    expect(first).not.toMatch(/restrict|Dumped|OWNER|\bops\.|default_tablespace/);
    expect((await perform(snapshot, project.context(), { into })).output).toMatchObject({
      state: "unchanged",
    });
    expect(await readFile(into, "utf8")).toBe(first);
  });

  test("--check writes nothing and is a no-go where the file is stale or missing", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "0001" });
    const into = join(project.folder, "schema.txt");
    const missing = (await perform(snapshot, project.context(), { into, check: true })).output;
    expect(snapshot.failure?.(missing)).toMatchObject({ code: "E_SNAPSHOT_STALE", exitCode: 3 });
    expect(snapshot.failure?.(missing)).toMatchObject({
      message: `${into} does not exist`,
      hint: expect.stringContaining("ops migrate snapshot"),
    });
    expect(snapshot.render?.(missing)).toContain(`${into} does not exist`);
    await expect(readFile(into)).rejects.toMatchObject({ code: "ENOENT" });
    await perform(snapshot, project.context(), { into });
    expect(
      snapshot.failure?.((await perform(snapshot, project.context(), { into, check: true })).output),
    ).toBeUndefined();
    await perform(up, project.context(), {});
    const stale = (await perform(snapshot, project.context(), { into, check: true })).output;
    expect(stale).toMatchObject({
      state: "stale",
      added: expect.arrayContaining(["CREATE TABLE public.items (\n    id integer\n);"]),
    });
    expect(snapshot.render?.(stale)).toContain("+ CREATE TABLE public.items (");
  });

  test("what it writes can be run, gives the same schema, and holds no password", async () => {
    await createRichDatabase(cluster);
    await using project = await Project.create(cluster, {});
    const { output } = await perform(
      snapshot,
      { ...project.context(), environment: projectOver(project, cluster.url("rich")) },
      { into: "-" },
    );
    const { sql } = output as { sql: string };
    expect(sql).not.toContain("hush-hush");
    await run(cluster, "postgres", "CREATE DATABASE again");
    await run(cluster, "again", sql);
    const difference = compareSchemas(await schemaOf(cluster, "rich"), await schemaOf(cluster, "again"), {
      ignoreKinds: ["owner"],
    });
    expect(difference).toEqual({ added: [], removed: [], changed: [], reordered: [] });
  });
});

function projectOver(project: Project, url: string) {
  const { environment } = testContext({ databases: { main: { url, migrations: project.folder } } });
  return environment;
}
