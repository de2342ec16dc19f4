import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import {
  addMissingWayDown,
  applyByPsql,
  copyFolder,
  dump,
  dumpSchema,
  type Form,
  foreignMigrations,
  forms,
} from "../../support/migration-folders.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, Project, status, up } from "./project.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startTestCluster();
});

afterAll(async () => {
  await cluster.stop();
});

/** A database of its own with a copy of the form's folder. */
async function projectOf(form: Form): Promise<Project> {
  const project = await Project.create(cluster, {});
  await copyFolder(form, project.folder);
  return project;
}

interface Shown {
  readonly migrations: readonly { version: string; name: string; state: string }[];
}

async function versions(project: Project): Promise<Shown["migrations"]> {
  return ((await perform(status, project.context(), {})).output as Shown).migrations;
}

/** What psql alone makes of the folder. */
async function byPsql(form: Form): Promise<string> {
  await using plain = await Project.create(cluster, {});
  await applyByPsql(plain.url, await foreignMigrations(form));
  return await dump(plain.url);
}

/** Without the foreign file that forgot its way down: dbmate wants one in every file, Flyway has few at all. */
const withGap = ["golang-migrate", "goose", "diesel", "node-pg-migrate", "sqitch"] as const;

describe.each(forms)("a %s folder of twelve years", (form) => {
  it("gives the database that psql gives", async () => {
    await using project = await projectOf(form);

    await perform(up, project.context(), {});

    expect(await dump(project.url)).toBe(await byPsql(form));
    expect((await versions(project)).filter((each) => each.state !== "applied")).toEqual([]);
  });
});

describe.each(withGap)("a %s folder with a file that has no way down", (form) => {
  it("goes down to that file, no further, and up again", async () => {
    await using project = await projectOf(form);
    await perform(up, project.context(), {});
    const before = await dumpSchema(project.url);
    const stuck = (await versions(project)).find((each) => /backfill.customer.emails/.test(each.name));

    await expect(perform(down, project.context(), { to: "0" })).rejects.toThrow("backfill");
    expect(await dumpSchema(project.url)).toBe(before);
    await perform(down, project.context(), { to: stuck?.version });
    const applied = (await versions(project)).filter((each) => each.state === "applied");
    await perform(up, project.context("run-2"), {});

    expect(applied.at(-1)).toEqual({ ...stuck, ...applied.at(-1), state: "applied" });
    expect(await dumpSchema(project.url)).toBe(before);
  });

  it("goes all the way down once somebody wrote that way, and up again", async () => {
    await using project = await projectOf(form);
    const gap = (await foreignMigrations(form)).find((each) => /backfill.customer.emails/.test(each.name));
    await addMissingWayDown(form, project.folder, gap?.path ?? "");
    await perform(up, project.context(), {});
    const before = await dump(project.url);

    await perform(down, project.context(), { to: "0" });
    const emptied = await dump(project.url);
    await perform(up, project.context("run-2"), {});

    expect(emptied).not.toMatch(/CREATE/);
    expect(await dump(project.url)).toBe(before);
  });
});

describe("a dbmate folder", () => {
  it("goes all the way down, also through a file with nothing below its down mark, and up again", async () => {
    await using project = await projectOf("dbmate");
    await perform(up, project.context(), {});
    const before = await dump(project.url);

    await perform(down, project.context(), { to: "0" });
    const emptied = await dump(project.url);
    await perform(up, project.context("run-2"), {});

    expect(emptied).not.toMatch(/CREATE/);
    expect(await dump(project.url)).toBe(before);
  });
});

describe("a Flyway folder", () => {
  it("goes down as far as it has undo files, and up again", async () => {
    await using project = await projectOf("flyway");
    await perform(up, project.context(), {});
    const before = await dumpSchema(project.url);
    const oldest = (await versions(project)).find((each) => each.version.startsWith("40.115"));

    await perform(down, project.context(), { to: oldest?.version ?? "40.115" });
    const between = await dumpSchema(project.url);
    await perform(up, project.context("run-2"), {});

    expect(between).not.toBe(before);
    expect(await dumpSchema(project.url)).toBe(before);
  });
});
