import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digest } from "../../../src/core/digest.ts";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, operation, Project, status, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const failed = async (promise: Promise<unknown>) => errorRecord(await promise.catch((each) => each));

describe("what only the other tool can run is refused by name, with the way out", () => {
  test.each([
    [
      "goose in Go",
      { "1_a.sql": "-- +goose Up\nSELECT 1;", "2_b.go": "package x" },
      "2_b.go is a migration in Go, which ops cannot run",
      "write what it does as 2_b.sql",
    ],
    [
      "node-pg-migrate in JavaScript",
      { "1700000000000_a.js": "exports.up = () => {}" },
      "1700000000000_a.js is a migration in JavaScript, which ops cannot run",
      "write its SQL as 1700000000000_a.sql in its place: node-pg-migrate up --dry-run prints it",
    ],
    [
      "Flyway's placeholder without a value",
      { "V1__a.sql": "SELECT 1;\nCREATE TABLE ${prefix}a (id int);" },
      "V1__a.sql:2: the placeholder ${prefix} has no value",
      "set it in .opsrc: migrations-placeholders: { prefix: … }",
    ],
    [
      "Flyway's baseline",
      { "V1__a.sql": "SELECT 1;", "B2__all.sql": "SELECT 1;" },
      "B2__all.sql is a baseline migration, which ops does not run",
      "keep V2__all.sql and those before it, and mark what is there with: ops migrate baseline 2",
    ],
    [
      "Flyway's callbacks",
      { "V1__a.sql": "SELECT 1;", "afterMigrate__grants.sql": "SELECT 1;" },
      "afterMigrate__grants.sql is a callback of Flyway, which ops does not run",
      "take it out of the folder",
    ],
    [
      "a sqitch change that is reworked without a tag",
      { "sqitch.plan": "%project=x\n\na 2024-01-01T00:00:00Z A <a@b>\na 2024-01-01T00:00:00Z A <a@b>\n" },
      "sqitch.plan: a stands in it twice without a tag in between",
      "tag the plan before a change is reworked",
    ],
    [
      "a dbmate file without its mark",
      { "1_a.sql": "-- migrate:up\nSELECT 1;", "2_b.sql": "SELECT 1;" },
      '2_b.sql has no "-- migrate:up"',
      "write that line before its first statement",
    ],
    [
      "a sqitch change that requires a later one",
      { "sqitch.plan": "%project=x\n\na [b] 2024-01-01T00:00:00Z A <a@b> # a\n" },
      "sqitch.plan:3: a requires b, which does not stand before it",
      "put it before",
    ],
  ])("%s", async (_, files: Record<string, string>, message, hint) => {
    await using project = await Project.create(cluster, files);
    const error = await failed(perform(up, project.context(), {}));
    expect(error.code).toBe("E_MIGRATIONS");
    expect(`${error.message}\n    = ${error.hint}`).toContain(message);
    expect(`${error.message}\n    = ${error.hint}`).toContain(hint);
  });
});

describe("Flyway", () => {
  test("versions with dots are in the order of their numbers, in folders below too, and U files take them back", async () => {
    await using project = await Project.create(cluster, {
      "V1.9__a.sql": "CREATE TABLE a (id int);",
      "2024/may/V1_10__b.sql": "CREATE TABLE b AS TABLE a;",
      "2024/U1.10__b.sql": "DROP TABLE b;",
    });
    await perform(up, project.context(), {});
    await perform(down, project.context(), {});
    expect(await project.state()).toEqual({ applied: ["1.9"], tables: ["a"] });
  });

  test("a repeatable migration runs last, and again when its text changes", async () => {
    await using project = await Project.create(cluster, {
      "R__view.sql": "CREATE OR REPLACE VIEW v AS SELECT 1 AS n;",
      "V1__a.sql": "CREATE TABLE a (id int);",
    });
    await perform(up, project.context(), {});
    expect((await perform(up, project.context(), {})).changes).toEqual([]);
    await project.write({ "R__view.sql": "CREATE OR REPLACE VIEW v AS SELECT 2 AS n;" });
    const { changes } = await perform(up, project.context("run-2"), {});
    expect(changes.map((each) => each.summary)).toEqual([expect.stringMatching(/its text has changed/)]);
    expect(await project.query("SELECT n FROM v")).toEqual([{ n: 2 }]);
  });

  test("undo takes back the versioned ones, and says that a repeatable one stays", async () => {
    await using project = await Project.create(cluster, {
      "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT 1 AS n;",
      "V1__a.sql": "CREATE TABLE a (id int);",
    });
    await perform(up, project.context(), {});
    await project.write({
      "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT 2 AS n;",
      "V2__b.sql": "CREATE TABLE b (id int);",
      "U2__b.sql": "DROP TABLE b;",
    });
    const { undo } = await perform(up, project.context("run-2"), {});
    expect(await undo()).toEqual({
      undone: true,
      note: "R__v is repeatable and stays: its way back is its next text",
    });
    expect((await project.state()).applied).toEqual(["1", "R__v"]);
    expect(await project.query("SELECT n FROM v")).toEqual([{ n: 2 }]);
  });

  test("placeholders are filled from the configuration", async () => {
    await using project = await Project.create(cluster, { "V1__a.sql": "CREATE TABLE ${prefix}a (id int);" });
    const database = {
      url: project.url,
      migrations: project.folder,
      "migrations-placeholders": { prefix: "my_" },
    };
    const context = testContext({ databases: { main: database } });
    expect((await perform(operation("migrate.lint"), context, { offline: true })).output).toMatchObject({
      errors: 0,
      files: 1,
    });
    // Past the reading of the folder.
    expect(await failed(perform(operation("migrate.test"), context, { to: "9" }))).toMatchObject({
      code: "E_MIGRATION_UNKNOWN",
    });
    await perform(up, context, {});
    expect((await project.state()).tables).toEqual(["my_a"]);
  });
});

test.each([
  ["-- migrate:up", "-- migrate:down"],
  ["-- +goose Up", "-- +goose Down"],
])("the way there is not edited by what is written below it: %s", async (upMark, downMark) => {
  const text = `${upMark}\nCREATE TABLE a (id int);\n\n${downMark}\nDROP TABLE a;\n`;
  await using project = await Project.create(cluster, { "1_a.sql": text });
  await perform(up, project.context(), {});
  await project.write({ "1_a.sql": `${text}-- why\n\nSELECT 1;\n` });
  expect((await perform(up, project.context(), {})).changes).toEqual([]);
  // As it was recorded once: with the empty lines of the other direction.
  const former = digest(`${upMark}\nCREATE TABLE a (id int);\n\n\n\n`);
  await project.query(`UPDATE ops.migration SET checksum = '${former}'`);
  await project.write({ "1_a.sql": text });
  expect((await perform(up, project.context(), {})).changes).toEqual([]);
  await project.write({ "1_a.sql": text.replace("id int", "id text") });
  await expect(perform(up, project.context(), {})).rejects.toMatchObject({ code: "E_MIGRATIONS" });
});

test("an error is shown with its place in the file, also behind the part of the other direction", async () => {
  await using project = await Project.create(cluster, {
    "1_a.sql": "-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 1;\nSELCT 2;\n",
  });
  expect((await failed(perform(up, project.context(), {}))).message).toMatch(
    /^1_a\.sql:5:1: syntax error at or near "SELCT"/,
  );
});

test("a diesel migration outside a transaction runs statement by statement", async () => {
  await using project = await Project.create(cluster, {});
  const folder = "2024-01-01-120000_index";
  await mkdir(join(project.folder, folder));
  await project.write({
    [`${folder}/up.sql`]: "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (id);",
    [`${folder}/down.sql`]: "DROP TABLE a;",
    [`${folder}/metadata.toml`]: "run_in_transaction = false\n",
  });
  await perform(up, project.context(), {});
  expect((await perform(status, project.context(), {})).output).toMatchObject({
    migrations: [{ version: "20240101120000", name: "index", state: "applied" }],
  });
  const made = perform(operation("migrate.new"), project.context(), { name: "b", verify: true });
  expect((await failed(made)).message).toBe("Migrations in the form of diesel have no verify file");
});

test("sqitch's scripts in folders, and those of a change that was reworked after a later tag", async () => {
  const line = (change: string) => `${change} 2024-01-01T00:00:00Z A <a@b> # x`;
  await using project = await Project.create(cluster, {
    "sqitch.plan": [
      "%project=x\n",
      line("app/users"),
      line("@v1"),
      line("app/posts"),
      line("@v2"),
      line("app/users [app/users@v2]"),
      line("@v3"),
      line("app/users [app/users@v3]"),
    ].join("\n"),
    "deploy/app/users@v2.sql": "CREATE TABLE users (id int);",
    "deploy/app/posts.sql": "CREATE TABLE posts AS TABLE users;",
    "deploy/app/users@v3.sql": "ALTER TABLE users ADD COLUMN name text;",
    "revert/app/users@v3.sql": "ALTER TABLE users DROP COLUMN name;",
    "deploy/app/users.sql": "DROP TABLE users;",
    "revert/app/users.sql": "CREATE TABLE users (id int, name text);",
    "verify/app/posts.sql": "SELECT id FROM posts;",
  });
  await perform(up, project.context(), {});
  const order = await project.query("SELECT version FROM ops.migration ORDER BY applied_at");
  expect(order.map((each) => each.version)).toEqual([
    "app/users@v2",
    "app/posts",
    "app/users@v3",
    "app/users",
  ]);
  await perform(down, project.context(), { to: "app/posts" });
  expect((await project.state()).tables).toEqual(["posts", "users"]);
});

test("a migration in JavaScript that node-pg-migrate has applied is taken over, and does not hold up the next one", async () => {
  await using project = await Project.create(cluster, {
    "1700000000000_a.js": "exports.up = (pgm) => pgm.sql('CREATE TABLE a ()');",
    "1700000000001_b.sql": "-- Up Migration\nCREATE TABLE b ();",
  });
  await project.query(
    `CREATE TABLE pgmigrations (id serial, name text, run_on timestamp);
     INSERT INTO pgmigrations (name, run_on) VALUES ('1700000000000_a', now())`,
  );
  await perform(operation("migrate.adopt"), project.context(), { from: "node-pg-migrate" });
  expect((await perform(operation("migrate.lint"), project.context(), {})).output).toMatchObject({
    files: 1,
  });
  await perform(up, project.context(), {});
  expect((await perform(status, project.context(), {})).output).toMatchObject({
    migrations: [{ state: "applied" }, { state: "applied" }],
  });
  expect(await failed(perform(down, project.context(), { steps: 2 }))).toMatchObject({
    code: "E_MIGRATIONS",
    message: expect.stringContaining("1700000000000_a"),
  });
});
