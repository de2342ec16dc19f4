import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";
import { everythingRoles, everythingSchema } from "./everything-schema.ts";

const create = operation("backup.create");
const verify = operation("backup.verify");
const restore = operation("backup.restore");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
  await setting.query("postgres", everythingRoles);
});
afterAll(() => setting.stop());

/** Every table has an archive of its own. */
const parallel = { jobs: 3, "split-from": "1B" };

describe("a parallel dump of a database with everything in it", () => {
  it("restores to the same schema and the same rows, in one job or several", async () => {
    const { database, settings, directory } = await setting.prepare(everythingSchema, "every thing");
    const context = testContext(settings);
    const { output } = await perform(create, context, parallel);
    const { id } = output as { id: string };

    const names = await readdir(join(directory, id));
    expect(names.filter((each) => each.startsWith("table-")).length).toBeGreaterThan(5);
    await perform(restore, context, { into: "one", jobs: 1 });
    await perform(restore, context, { into: "three", jobs: 3, check: "rows" });

    const source = setting.dump(database);
    expect(setting.dump("one")).toBe(source);
    expect(setting.dump("three")).toBe(source);
  });

  it("has the rows of one moment, whatever is written while it runs", async () => {
    const { settings } = await setting.prepare(
      `
      CREATE TABLE a (id int PRIMARY KEY, filler text);
      CREATE TABLE b (id int PRIMARY KEY, filler text);
      INSERT INTO a SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;
      INSERT INTO b SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;`,
      "moving",
    );
    const context = testContext(settings);
    let writing = true;
    const writer = (async () => {
      for (let id = 20_001; writing; id += 1) {
        await setting.query("moving", `INSERT INTO a VALUES (${id}, ''); INSERT INTO b VALUES (${id}, '')`);
      }
    })();
    await perform(create, context, parallel);
    writing = false;
    await writer;

    await perform(restore, context, { into: "moment", jobs: 2 });

    const rows = await setting.query<{ a: number; b: number }>(
      "moment",
      "SELECT (SELECT max(id) FROM a) AS a, (SELECT max(id) FROM b) AS b",
    );
    expect(rows[0]?.a).toBe(rows[0]?.b);
  });

  it("takes up only what is selected", async () => {
    const { settings } = await setting.prepare(`
      CREATE SCHEMA keep; CREATE SCHEMA other;
      CREATE TABLE keep.rows AS SELECT i FROM generate_series(1, 100) i;
      CREATE TABLE keep.log AS SELECT i FROM generate_series(1, 100) i;
      CREATE TABLE other.rows AS SELECT i FROM generate_series(1, 100) i;`);
    const context = testContext(settings);

    const { output } = await perform(create, context, {
      ...parallel,
      schemas: ["keep"],
      "exclude-table-data": ["keep.log"],
    });

    expect(output).toMatchObject({ tables: 1, rows: 100 });
    await perform(restore, context, { into: "selected" });
    const rows = await setting.query(
      "selected",
      "SELECT schemaname || '.' || relname AS name FROM pg_stat_user_tables ORDER BY 1",
    );
    expect(rows).toEqual([{ name: "keep.log" }, { name: "keep.rows" }]);
  });

  it("asks nothing of a table that the selection leaves out, in one job or several", async () => {
    const { settings, database } = await setting.prepare(`
      CREATE TABLE open AS SELECT i FROM generate_series(1, 100) i;
      CREATE TABLE secret AS SELECT i FROM generate_series(1, 100) i;
      CREATE ROLE reader LOGIN; GRANT SELECT ON open TO reader;`);
    const url = setting.cluster.url(database).replace("postgres@", "reader@");
    const context = testContext({ ...settings, databases: { main: { url } } });

    for (const jobs of [1, 2]) {
      const { output } = await perform(create, context, {
        ...parallel,
        jobs,
        "exclude-tables": ["secret"],
        globals: false,
      });
      expect(output).toMatchObject({ tables: 1, rows: 100 });
    }
  });

  it("passes each level of verification, and a drill says what it found", async () => {
    const { settings } = await setting.prepare(everythingSchema, "to verify");
    const context = testContext(settings);
    await perform(create, context, parallel);

    expect((await perform(verify, context, { level: "objects" })).output).toMatchObject({ verdict: "pass" });
    expect((await perform(verify, context, { level: "decrypt" })).output).toMatchObject({ verdict: "pass" });
    const checks = ["SELECT count(*) > 0 FROM public.orders"];
    const held = await perform(verify, context, { level: "drill", jobs: 2, checks });
    expect(held.output).toMatchObject({
      verdict: "pass",
      reason: null,
      drill: { checks: [{ passed: true }] },
    });

    const failed = await perform(verify, context, { level: "drill", checks: ["SELECT false"] });
    expect(failed.output).toMatchObject({ verdict: "fail", reason: "this does not hold: SELECT false" });
  }, 60_000);
});
