import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, Project, shop, status, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

describe("migrate.up", () => {
  test("applies what is pending and records it with who and in which run", async () => {
    await using project = await Project.create(cluster, shop);
    const { changes, output } = await perform(up, project.context(), {});
    expect(changes.map((each) => each.summary)).toEqual([
      "apply 0001_orders",
      "apply 0002_status",
      "apply 0003_items",
    ]);
    expect(output).toMatchObject({
      database: "main",
      applied: [{ version: "0001" }, { version: "0002" }, { version: "0003" }],
      current: "0003",
    });
    expect(await project.state()).toEqual({
      applied: ["0001", "0002", "0003"],
      tables: ["items", "orders", "status"],
    });
    expect(await project.query("SELECT name, applied_by, run_id FROM ops.migration LIMIT 1")).toEqual([
      { name: "orders", applied_by: "ann@laptop", run_id: "run-1" },
    ]);
  });

  test("observing changes nothing, not even on a database that never saw a migration", async () => {
    await using project = await Project.create(cluster, shop);
    await up.observe(project.context(), up.input.parse({}));
    expect(await project.query("SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });

  test("undo takes back exactly what the run applied", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context("run-1"), { to: "0001" });
    const second = await perform(up, project.context("run-2"), {});
    expect(await second.undo()).toEqual({ undone: true });
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });
    expect(await second.undo()).toEqual({ undone: true });
  });

  test("undo leaves alone what another run applied in the meantime", async () => {
    await using project = await Project.create(cluster, shop);
    const context = project.context("slow");
    const before = await up.observe(context, up.input.parse({}));
    await perform(up, project.context("quick"), {});
    const output = await up.apply(context, up.input.parse({}), before, new RecordingReport());
    expect(output).toMatchObject({ applied: [], current: "0003" });
    expect(await up.undo?.(context, up.input.parse({}), before, new RecordingReport())).toEqual({
      undone: true,
      note: "0003_items, 0002_status, 0001_orders was applied by another run and stays",
    });
    expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
  });

  test("undo without apply changes nothing", async () => {
    await using project = await Project.create(cluster, shop);
    const before = await up.observe(project.context(), up.input.parse({}));
    const result = await up.undo?.(project.context(), up.input.parse({}), before, new RecordingReport());
    expect(result).toEqual({ undone: true });
    expect(await project.query("SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });

  test("undo without a way back says so and takes nothing back", async () => {
    await using project = await Project.create(cluster, shop);
    await project.remove("0002_status.down.sql");
    const run = await perform(up, project.context(), {});
    expect(run.changes[1]?.summary).toBe("apply 0002_status (no way back: 0002_status.down.sql is missing)");
    expect(await run.undo()).toEqual({
      undone: false,
      note: "0002_status.down.sql is missing, so nothing was taken back",
    });
    expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
  });

  test.each([
    [{ to: "1" }, ["0001"]],
    [{ to: 2 }, ["0001", "0002"]],
    [{ steps: 1 }, ["0001"]],
    [{ steps: 9 }, ["0001", "0002", "0003"]],
  ])("with %j applies %j", async (input, applied) => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), input);
    expect((await project.state()).applied).toEqual(applied);
  });

  test("with nothing pending plans nothing and applies nothing", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    const again = await perform(up, project.context("run-2"), {});
    expect(again.changes).toEqual([]);
    expect(again.output).toEqual({ database: "main", applied: [], current: "0003", overridden: [] });
  });

  test("what a file sets for its session reaches neither its record nor the next file", async () => {
    await using project = await Project.create(cluster, {
      "1_hide.up.sql":
        "CREATE ROLE nobody_at_all; SET search_path = ''; SET ROLE nobody_at_all; SET lock_timeout = '7s';",
      "2_show.up.sql":
        "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock_timeout, current_user AS who;",
    });
    await perform(up, project.context(), { "lock-timeout": "3s" });
    expect(await project.query("SELECT * FROM seen")).toEqual([{ lock_timeout: "3s", who: "postgres" }]);
    await project.query("DROP ROLE nobody_at_all");
  });

  test("line endings of another system are not an edit", async () => {
    await using project = await Project.create(cluster, { "1_a.up.sql": "SELECT 1;\nSELECT 2;\n" });
    await perform(up, project.context(), {});
    await project.write({ "1_a.up.sql": "SELECT 1;\r\nSELECT 2;\r\n" });
    expect((await perform(up, project.context(), {})).changes).toEqual([]);
  });

  test("line endings in a string are what the file says, and no edit where another checkout has others", async () => {
    const sql = `CREATE TABLE a (what text);\r
-- it's no string\r
INSERT INTO a VALUES ('x\r\ny'), (E'\\'\r\n'), ($$\r\n$$);\r
`;
    await using project = await Project.create(cluster, { "1_a.up.sql": sql });
    await perform(up, project.context(), {});
    expect(await project.query("SELECT what FROM a")).toEqual([
      { what: "x\r\ny" },
      { what: "'\r\n" },
      { what: "\r\n" },
    ]);
    await project.write({ "1_a.up.sql": sql.replaceAll("\r\n", "\n") });
    expect((await perform(up, project.context(), {})).changes).toEqual([]);
  });
});

describe("migrate.down", () => {
  test("takes back the newest one, and undo applies it again", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    const run = await perform(down, project.context("run-2"), {});
    expect(run.changes.map((each) => each.summary)).toEqual(["take back 0003_items"]);
    expect(run.output).toMatchObject({ takenBack: [{ version: "0003" }], current: "0002" });
    expect(await project.state()).toEqual({ applied: ["0001", "0002"], tables: ["orders", "status"] });
    expect(await run.undo()).toMatchObject({ undone: true });
    expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
    expect(await run.undo()).toEqual({ undone: true });
  });

  test.each([
    [{ to: "0001" }, ["0001"]],
    [{ to: 0 }, []],
    [{ steps: 2 }, ["0001"]],
    [{ to: "3" }, ["0001", "0002", "0003"]],
  ])("with %j leaves %j", async (input, applied) => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await perform(down, project.context(), input);
    expect((await project.state()).applied).toEqual(applied);
  });

  test("on an empty history plans nothing", async () => {
    await using project = await Project.create(cluster, shop);
    const run = await perform(down, project.context(), {});
    expect(run.changes).toEqual([]);
    expect(run.output).toEqual({ database: "main", takenBack: [], current: null });
    expect(await run.undo()).toEqual({ undone: true });
  });
});

describe("migrate.status", () => {
  test("shows how each migration stands", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "0002" });
    await project.write({ "0001_orders.up.sql": "SELECT 1;", "0001_orders.down.sql": "SELECT 1;" });
    await project.remove("0002_status.up.sql");
    await project.remove("0002_status.down.sql");
    await project.write({ "00011_late.up.sql": "SELECT 1;" });
    const { output } = await perform(status, project.context(), {});
    expect(output).toMatchObject({
      current: "0002",
      pending: 2,
      migrations: [
        { version: "0001", state: "edited", appliedBy: "ann@laptop" },
        { version: "0002", state: "missing", appliedBy: "ann@laptop" },
        { version: "0003", state: "pending", appliedAt: null },
        { version: "00011", state: "pending", appliedAt: null },
      ],
    });
    const lines = status.render?.(output).split("\n") ?? [];
    expect(lines[0]).toBe("VERSION  STATE    APPLIED               NAME");
    expect(lines[1]).toMatch(/^0001 {5}edited {3}\d{4}-\d\d-\d\dT[\d:]+Z {2}orders$/);
    expect(lines[3]).toBe("0003     pending                        items");
  });

  test("makes nothing in a database that never saw a migration", async () => {
    await using project = await Project.create(cluster, shop);
    const { output } = await perform(status, project.context(), {});
    expect(output).toMatchObject({ current: null, pending: 3 });
    expect(await project.query("SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });
});
