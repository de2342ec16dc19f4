import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { foreignHistory, golangMigrate } from "../../support/foreign-histories.ts";
import {
  applyByPsql,
  copyFolder,
  dump,
  type Form,
  foreignMigrations,
  forms,
  psql,
} from "../../support/migration-folders.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, status, up } from "./project.ts";

const adopt = operation("migrate.adopt");

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startTestCluster();
});

afterAll(async () => {
  await cluster.stop();
});

/** A database in which the form's own tool has applied the first `count` migrations; default: all. */
async function databaseOf(form: Form, count?: number): Promise<Project> {
  const project = await Project.create(cluster, {});
  await copyFolder(form, project.folder);
  const applied = (await foreignMigrations(form)).slice(0, count);
  await applyByPsql(project.url, applied);
  await psql(project.url, foreignHistory(form, applied));
  return project;
}

async function states(project: Project): Promise<Record<string, number>> {
  const { migrations } = (await perform(status, project.context(), {})).output as {
    migrations: readonly { state: string }[];
  };
  const counts = Map.groupBy(migrations, (each) => each.state);
  return Object.fromEntries([...counts].map(([state, all]) => [state, all.length]));
}

describe.each(forms)("a database that %s has migrated", (form) => {
  it("is taken over as it stands: nothing runs, nothing is pending, no file changes", async () => {
    await using project = await databaseOf(form);
    const before = await dump(project.url);
    const all = await foreignMigrations(form);

    await perform(adopt, project.context(), { from: form });
    const { output } = await perform(up, project.context("run-2"), {});

    expect(await states(project)).toEqual({ applied: all.length });
    expect(output).toMatchObject({ applied: [] });
    expect(await dump(project.url)).toBe(before);
    for (const { path, text } of all) expect(await readFile(`${project.folder}/${path}`, "utf8")).toBe(text);
  });

  it("is taken over in the middle, and ops applies the rest", async () => {
    await using whole = await databaseOf(form);
    await using project = await databaseOf(form, 70);
    const all = await foreignMigrations(form);

    await perform(adopt, project.context(), { from: form });
    const taken = await states(project);
    await perform(up, project.context("run-2"), {});

    expect(taken).toEqual({ applied: 70, pending: all.length - 70 });
    expect(await dump(project.url)).toBe(await dump(whole.url));
  });

  it("is left as it was when the taking over is undone", async () => {
    await using project = await databaseOf(form, 5);
    const all = await foreignMigrations(form);

    const performed = await perform(adopt, project.context(), { from: form });
    await performed.undo();

    expect(await states(project)).toEqual({ pending: all.length });
  });
});

it("a database that golang-migrate left dirty is not taken over", async () => {
  await using project = await Project.create(cluster, {});
  await copyFolder("golang-migrate", project.folder);
  await psql(project.url, golangMigrate("000003", "dirty"));

  await expect(perform(adopt, project.context(), { from: "golang-migrate" })).rejects.toThrow(/dirty/);
});

it("changes of another sqitch project in the same registry are not taken for one's own", async () => {
  await using project = await databaseOf("sqitch", 3);
  await project.query(`
    INSERT INTO sqitch.projects (project, creator_name, creator_email) VALUES ('other', 'Ann', 'ann@example.com');
    INSERT INTO sqitch.changes
    SELECT 'other-' || change_id, 'other-' || script_hash, change, 'other', note, committed_at - interval '1 day',
           committer_name, committer_email, planned_at, planner_name, planner_email FROM sqitch.changes
    UNION ALL
    SELECT 'gone', 'gone', 'gone', 'other', '', now(), 'Ann', 'ann@example.com', now(), 'Ann', 'ann@example.com'`);

  await perform(adopt, project.context(), { from: "sqitch" });

  expect((await states(project)).applied).toBe(3);
});

it("a database in which Flyway's newest try of a version failed is not taken over", async () => {
  await using project = await databaseOf("flyway", 3);
  const [last] = await project.query<{ version: string }>(
    "UPDATE flyway_schema_history SET success = false WHERE installed_rank = 3 RETURNING version",
  );

  await expect(perform(adopt, project.context(), { from: "flyway" })).rejects.toMatchObject({
    code: "E_MIGRATION_HISTORY",
    message: expect.stringContaining(`version ${last?.version} failed`),
  });
});
