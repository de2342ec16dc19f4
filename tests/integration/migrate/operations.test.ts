import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { perform } from "../../support/context.ts";
import { foreignHistory, golangMigrate } from "../../support/foreign-histories.ts";
import { copyFolder, foreignMigrations, forms } from "../../support/migration-folders.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, shop, status, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const adopt = operation("migrate.adopt");
const baseline = operation("migrate.baseline");
const history = operation("migrate.history");
const newMigration = operation("migrate.new");
const redo = operation("migrate.redo");
const repair = operation("migrate.repair");
const verify = operation("migrate.verify");

const failed = async (promise: Promise<unknown>) => errorRecord(await promise.catch((each) => each));

async function states(project: Project) {
  const { output } = await perform(status, project.context(), {});
  return (output as { migrations: { version: string; state: string }[] }).migrations;
}

describe("migrate.adopt", () => {
  test.each(forms)("takes over what %s has applied, runs nothing, and is taken back", async (form) => {
    await using project = await Project.create(cluster, {});
    await copyFolder(form, project.folder);
    const all = await foreignMigrations(form);
    const applied = all.slice(0, -2);
    await project.query(foreignHistory(form, applied));
    const { output, undo } = await perform(adopt, project.context(), { from: form });
    expect(output).toMatchObject({ marked: applied.length });
    const after = await states(project);
    expect(after.filter((each) => each.state === "applied").length).toBe(applied.length);
    expect(after.filter((each) => each.state === "pending").length).toBe(all.length - applied.length);
    expect(await undo()).toEqual({ undone: true });
    expect((await project.state()).applied).toEqual([]);
  });

  test("refuses what golang-migrate has left dirty", async () => {
    await using project = await Project.create(cluster, shop);
    await project.query(golangMigrate("2", "dirty"));
    expect(await failed(perform(adopt, project.context(), { from: "golang-migrate" }))).toMatchObject({
      code: "E_MIGRATION_HISTORY",
      hint: "mend the database and run: migrate force 2",
    });
  });

  test("names the table that is not there", async () => {
    await using project = await Project.create(cluster, { "1_a.sql": "-- migrate:up\nSELECT 1;\n" });
    expect(await failed(perform(adopt, project.context(), { from: "dbmate" }))).toMatchObject({
      code: "E_MIGRATION_HISTORY",
      message: 'The database has no table "schema_migrations", where dbmate keeps its history',
    });
  });
});

describe("migrate.baseline", () => {
  test("takes what is there for applied, without running it", async () => {
    await using project = await Project.create(cluster, shop);
    await project.query("CREATE TABLE orders (id int PRIMARY KEY)");
    const { undo } = await perform(baseline, project.context(), { version: "1" });
    await perform(up, project.context("run-2"), { to: "2" });
    expect(await project.state()).toEqual({ applied: ["0001", "0002"], tables: ["orders", "status"] });
    await undo();
    expect((await project.state()).applied).toEqual(["0002"]);
  });

  test("is refused where there is a history", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "1" });
    expect((await failed(perform(baseline, project.context(), { version: "2" }))).code).toBe(
      "E_MIGRATION_HISTORY",
    );
  });
});

describe("migrate.redo", () => {
  test("runs the newest one again, as its file now is", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.write({ "0003_items.up.sql": "CREATE TABLE items (id int, note text);" });
    const { output } = await perform(redo, project.context("run-2"), {});
    expect(output).toMatchObject({ redone: [{ version: "0003", name: "items" }] });
    expect(await project.query("SELECT note FROM items")).toEqual([]);
    expect((await states(project)).map((each) => each.state)).toEqual(["applied", "applied", "applied"]);
  });
});

describe("migrate.history", () => {
  test("tells what was done, by whom and in which run, also what is not applied any more", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "2" });
    await perform(operation("migrate.down"), project.context("run-2"), {});
    const { output } = await perform(history, project.context(), {});
    expect(output).toMatchObject({
      entries: [
        { action: "up", version: "0001", actor: "ann@laptop", runId: "run-1" },
        { action: "up", version: "0002" },
        { action: "down", version: "0002", runId: "run-2" },
      ],
    });
  });
});

describe("a verify file", () => {
  const checked = {
    "1_a.up.sql": "CREATE TABLE a (id int); INSERT INTO a VALUES (1);",
    "1_a.verify.sql": "SELECT id FROM a WHERE id < 0;",
  };

  test("is run after the way up, and what it does is not kept", async () => {
    await using project = await Project.create(cluster, checked);
    await perform(up, project.context(), {});
    expect((await perform(verify, project.context(), {})).output).toMatchObject({
      failed: 0,
      verified: [{ version: "1", failure: null }],
    });
  });

  test("that finds rows fails the migration, and all of it is rolled back", async () => {
    await using project = await Project.create(cluster, {
      ...checked,
      "1_a.verify.sql": "SELECT id FROM a WHERE id = 1;",
    });
    expect(await failed(perform(up, project.context(), {}))).toMatchObject({
      code: "E_MIGRATION_VERIFY",
      message: "1_a.verify.sql:1:1: returned a row where there must be none",
    });
    expect(await project.state()).toEqual({ applied: [], tables: [] });
  });

  test("with a COMMIT is refused before anything runs", async () => {
    await using project = await Project.create(cluster, {
      ...checked,
      "1_a.down.sql": "DROP TABLE a;",
    });
    const refused = { code: "E_MIGRATIONS", message: /^1_a\.verify\.sql:\d: COMMIT is not allowed/ };
    const refuses = async (each: Operation) => {
      const { code, message } = await failed(perform(each, project.context("run-2"), {}));
      expect(code).toBe(refused.code);
      expect(message).toMatch(refused.message);
    };
    for (const header of ["", "-- ops: transaction=none\n"]) {
      await project.write({ "1_a.verify.sql": `${header}SELECT 1 WHERE false;\nCOMMIT;` });
      await refuses(up);
      expect(await project.state()).toEqual({ applied: [], tables: [] });
    }
    await project.write({ "1_a.verify.sql": checked["1_a.verify.sql"] });
    await perform(up, project.context(), {});
    await project.write({ "1_a.verify.sql": "SELECT 1 WHERE false;\nCOMMIT;" });
    await refuses(redo);
    await refuses(verify);
    expect(await project.state()).toEqual({ applied: ["1"], tables: ["a"] });
  });

  test.each(["", "SELECT 1 / 0; "])("that hides a COMMIT is caught when it has run: %s", async (more) => {
    await using project = await Project.create(cluster, {
      ...checked,
      "1_a.verify.sql": `SELECT 1 WHERE 'x\\' = ' IS NULL; COMMIT; ${more}SELECT 1 WHERE ' y' IS NULL;`,
    });
    await project.query(`ALTER DATABASE ${project.databaseName} SET standard_conforming_strings = off`);
    expect(await failed(perform(up, project.context(), {}))).toMatchObject({
      code: "E_MIGRATION_TRANSACTION",
      message: expect.stringMatching(/^1_a\.verify\.sql ended the transaction/),
    });
  });

  test.each(["", "-- ops: transaction=none\n"])(
    "that hides a COMMIT is caught on its own, too: %j",
    async (header) => {
      await using project = await Project.create(cluster, {
        ...checked,
        "1_a.up.sql": `${header}${checked["1_a.up.sql"]}`,
      });
      if (header === "") await perform(up, project.context(), {});
      const hidden =
        "SELECT 1 WHERE 'x\\' = ' IS NULL; COMMIT; CREATE TABLE left_behind (); SELECT 1 WHERE ' y' IS NULL;";
      await project.write({ "1_a.verify.sql": hidden });
      await project.query(`ALTER DATABASE ${project.databaseName} SET standard_conforming_strings = off`);
      expect(await failed(perform(header === "" ? verify : up, project.context(), {}))).toMatchObject({
        code: "E_MIGRATION_TRANSACTION",
        message: expect.stringMatching(/^1_a\.verify\.sql ended the transaction/),
      });
    },
  );

  test("cannot write", async () => {
    await using project = await Project.create(cluster, { ...checked, "1_a.verify.sql": "DELETE FROM a;" });
    expect((await failed(perform(up, project.context(), {}))).message).toMatch(
      /cannot execute DELETE in a read-only transaction/,
    );
  });

  test("that finds rows later is bad news", async () => {
    await using project = await Project.create(cluster, checked);
    await perform(up, project.context(), {});
    await project.query("INSERT INTO a VALUES (-1)");
    const { output } = await perform(verify, project.context(), {});
    expect(output).toMatchObject({ failed: 1 });
    expect(verify.failure?.(output)).toMatchObject({ code: "E_MIGRATION_VERIFY" });
  });
});

describe("migrate.repair", () => {
  test("of a version that is as it should be says so", async () => {
    await using project = await Project.create(cluster, shop);
    const repairing = perform(operation("migrate.repair"), project.context(), { accept: ["2"] });
    expect(await failed(repairing)).toMatchObject({
      code: "E_INPUT",
      message: "There is nothing to settle about version 2",
    });
  });

  test("lists what does not fit, settles what is named, and takes that back", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.write({ "0001_orders.up.sql": "CREATE TABLE orders (id int PRIMARY KEY); -- why" });
    await project.remove("0003_items.up.sql");
    await project.remove("0003_items.down.sql");
    const { output, changes } = await perform(repair, project.context(), {});
    expect(output).toMatchObject({
      found: [
        { version: "0001", kind: "edited" },
        { version: "0003", kind: "missing" },
      ],
      settled: [],
    });
    expect(changes).toEqual([]);
    expect(repair.render?.(output)).toMatch(
      /^open {5}0001_orders {2}0001_orders\.up\.sql was changed after it was applied\n/,
    );

    const settled = await perform(repair, project.context("run-2"), { accept: ["1", "3"] });
    expect((await states(project)).map((each) => each.state)).toEqual(["applied", "applied"]);
    await settled.undo();
    expect((await states(project)).map((each) => each.state)).toEqual(["edited", "applied", "missing"]);
  });

  test.each([
    ["accept", 0],
    ["retry", 1],
  ])("settles a statement that an earlier run died in: %s", async (how, rows) => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);",
      "2_b.up.sql": "-- ops: transaction=none\nDO $$ BEGIN INSERT INTO a VALUES (5); COMMIT; END $$;",
    });
    await perform(up, project.context(), { to: "1" });
    await project.query(
      `INSERT INTO ops.migration_progress (version, name, direction, done, total, done_checksum, started)
       VALUES ('2', 'b', 'up', 0, 1, 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0)`,
    );
    await perform(repair, project.context(), { [how]: ["2"] });
    await perform(up, project.context(), {});
    expect((await project.query("SELECT id FROM a")).length).toBe(rows);
    expect((await project.state()).applied).toEqual(["1", "2"]);
  });
});

describe("migrate.new", () => {
  test.each([
    ["numbers", { "0001_a.up.sql": "" }, ["0002_x.down.sql", "0002_x.up.sql"]],
    ["times", { "20240101120000_a.up.sql": "" }, [/^\d{14}_x\.down\.sql$/, /^\d{14}_x\.up\.sql$/]],
    ["dbmate", { "20240101120000_a.sql": "-- migrate:up\n" }, [/^\d{14}_x\.sql$/]],
    ["goose", { "00001_a.sql": "-- +goose Up\n" }, ["00002_x.sql"]],
    ["Flyway", { "V1.2__a.sql": "" }, ["U2__x.sql", "V2__x.sql"]],
    ["nothing", {}, [/^\d{14}_x\.down\.sql$/, /^\d{14}_x\.up\.sql$/]],
  ])("goes on with the folder's own style: %s", async (_, files: Record<string, string>, expected) => {
    await using project = await Project.create(cluster, files);
    const { undo } = await perform(newMigration, project.context(), { name: "x" });
    const made = (await readdir(project.folder)).filter((each) => !(each in files)).sort();
    expect(made).toEqual(
      expected.map((each) => (typeof each === "string" ? each : expect.stringMatching(each))),
    );
    await undo();
    expect((await readdir(project.folder)).sort()).toEqual(Object.keys(files).sort());
  });

  test("leaves what was written since", async () => {
    await using project = await Project.create(cluster, {});
    const { undo } = await perform(newMigration, project.context(), { name: "x", version: "1" });
    await writeFile(join(project.folder, "1_x.up.sql"), "SELECT 1;");
    expect(await undo()).toEqual({ undone: "kept", note: "1_x.up.sql was written to since and stays" });
    expect(await readFile(join(project.folder, "1_x.up.sql"), "utf8")).toBe("SELECT 1;");
  });
});

describe("a policy", () => {
  test.each([
    ["allow", ["0001", "0002", "0003"]],
    ["warn", ["0001", "0002", "0003"]],
    ["ignore", ["0001", "0003"]],
  ])("out-of-order: %s", async (policy, applied) => {
    await using project = await Project.create(cluster, {
      "0001_orders.up.sql": "CREATE TABLE orders (id int);",
      "0003_items.up.sql": "CREATE TABLE items (id int);",
    });
    await perform(up, project.context(), {});
    await project.write({ "0002_late.up.sql": "CREATE TABLE late (id int);" });
    const { report } = await perform(up, project.context("run-2"), { "out-of-order": policy });
    expect((await project.state()).applied).toEqual(applied);
    expect(report.lines.some((each) => each.startsWith("warning: 0002_late.up.sql"))).toBe(policy === "warn");
  });

  test.each(["missing", "edited"] as const)("%s: warn says so and goes on", async (kind) => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "2" });
    if (kind === "edited") await project.write({ "0001_orders.up.sql": "SELECT 1;" });
    else {
      await project.remove("0001_orders.up.sql");
      await project.remove("0001_orders.down.sql");
    }
    expect((await failed(perform(up, project.context(), {}))).code).toBe("E_MIGRATIONS");
    const { report } = await perform(up, project.context(), { [kind]: "warn" });
    expect(report.lines[0]).toMatch(/^warning: 0001_orders/);
    expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
  });
});
