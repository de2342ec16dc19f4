import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operations as backupOperations } from "../../../src/backup/operations.ts";
import { checks } from "../../../src/migrate/checks.ts";
import type { MigrationTestReport } from "../../../src/migrate/report.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { OperationContext } from "../../../src/run/context.ts";
import { perform, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, up } from "./project.ts";

const migrateTest = operation("migrate.test");
const plan = operation("migrate.plan");
const migrationTested = checks.find((each) => each.kind === "migration-tested");

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const applied = {
  "0001_orders.up.sql": "CREATE TABLE orders (id int PRIMARY KEY, note text);",
  "0001_orders.down.sql": "DROP TABLE orders;",
};
const pending = {
  "0002_bigint.up.sql": "ALTER TABLE orders ALTER COLUMN id TYPE bigint;",
  "0002_bigint.down.sql": "ALTER TABLE orders ALTER COLUMN id TYPE int;",
};

/** A database with one applied migration, rows in its table and one pending migration. */
async function liveProject(): Promise<Project> {
  const project = await Project.create(cluster, applied);
  await perform(up, project.context(), {});
  await project.query("INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n");
  await project.write(pending);
  return project;
}

/** With a folder for reports beside the migrations. */
function contextOf(project: Project, settings: object = {}): OperationContext {
  const database = { url: project.url, migrations: project.folder };
  return testContext({ databases: { main: database }, ...settings }, { directory: project.folder });
}

async function localStore(project: Project): Promise<object> {
  const identity = await generateX25519Identity();
  const recipients = [await identityToRecipient(identity)];
  return { url: `file:${join(project.folder, "store")}`, recipients, identity };
}

async function runTest(
  context: OperationContext,
  input: object,
): Promise<MigrationTestReport & { path: string }> {
  const { output } = await perform(migrateTest, context, input);
  return output as MigrationTestReport & { path: string };
}

async function answer(context: OperationContext, input: object = {}) {
  if (migrationTested === undefined) throw new Error("there is no check migration-tested");
  const parsed = migrationTested.input.parse(input);
  return migrationTested.judge(await migrationTested.measure(context, parsed), parsed, {});
}

describe("migrate.test on a copy", () => {
  test("of a URL tests only what is pending there, with the real sizes, and leaves the real one alone", async () => {
    await using project = await liveProject();
    const report = await runTest(contextOf(project), { "from-url": project.url, empty: false });
    expect(report).toMatchObject({ verdict: "pass", files: [{ version: "0002" }] });
    const [copy] = report.passes;
    expect(copy).toMatchObject({ from: "copy", source: { kind: "url" }, migrations: [{ name: "bigint" }] });
    const [hold] = copy?.migrations[0]?.up?.holds ?? [];
    expect(hold).toMatchObject({ relation: "orders", blocks: "reads and writes" });
    expect(hold?.realBytes).toBeGreaterThan(2_000_000);
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });
  });

  test("of a backup brings along the roles that own its tables, without subscriptions to other servers", async () => {
    await using project = await liveProject();
    const role = `owner_${Math.random().toString(36).slice(2)}`;
    await project.query(`CREATE ROLE ${role}`);
    await project.query(`ALTER TABLE orders OWNER TO ${role}`);
    await project.query(
      "CREATE SUBSCRIPTION elsewhere CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)",
    );
    const context = contextOf(project, { stores: { local: await localStore(project) } });
    const create = backupOperations.find((each) => each.name === "backup.create");
    if (create === undefined) throw new Error("there is no operation backup.create");
    await perform(create, context, {});
    const report = await runTest(context, { "from-backup": "latest", empty: false });
    expect(report).toMatchObject({ verdict: "pass", passes: [{ source: { kind: "backup" } }] });
    await project.query("ALTER SUBSCRIPTION elsewhere SET (slot_name = NONE)");
    await project.query("DROP SUBSCRIPTION elsewhere");
    await project.query("DROP TABLE orders");
    await project.query(`DROP ROLE ${role}`);
  });

  test("that cannot be had is told before anything is started", async () => {
    await using project = await liveProject();
    const context = contextOf(project);
    const url = "postgresql://postgres@127.0.0.1:1/none";
    await expect(runTest(context, { "from-url": url })).rejects.toMatchObject({
      code: "E_DATABASE_UNREACHABLE",
    });
    await expect(runTest(context, { "from-backup": "latest" })).rejects.toMatchObject({ code: "E_TARGET" });
    expect(() => migrateTest.input.parse({ "from-url": "postgresql://ann:secret@db/shop" })).toThrow(
      "password",
    );
    expect(await readdir(project.folder)).not.toContain(".ops");
  });

  test("leaves no server and no folder of its own behind", async () => {
    await using project = await liveProject();
    await runTest(contextOf(project), {});
    expect(await readdir(join(project.folder, ".ops", "throw-away"))).toEqual([]);
  });
});

describe("what a test is good for", () => {
  test("the plan shows expected locks before a test, and measured ones after it", async () => {
    await using project = await liveProject();
    const context = contextOf(project);
    const before = (await perform(plan, context, {})).output;
    expect(before).toMatchObject({
      report: null,
      migrations: [
        {
          file: "0002_bigint.up.sql",
          sql: pending["0002_bigint.up.sql"],
          statements: [{ line: 1, locks: [{ relation: "orders", mode: "ACCESS EXCLUSIVE" }] }],
          measured: null,
        },
      ],
    });
    const { path } = await runTest(context, { "from-url": project.url });
    expect((await perform(plan, context, {})).output).toMatchObject({
      report: { path, verdict: "pass" },
      migrations: [
        {
          measured: {
            from: "copy",
            blocking: [expect.stringMatching(/^this will block reads and writes on orders \(.* MiB\) for /)],
            rewrites: ["table orders", "index orders_pkey"],
          },
        },
      ],
    });
    await project.write({ "0002_bigint.up.sql": "SELECT 1;" });
    expect((await perform(plan, context, {})).output).toMatchObject({ report: null });
  });

  test("the plan tells the other table of a foreign key that goes", async () => {
    await using project = await Project.create(cluster, {
      "0001_keys.up.sql": `CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA s;
        CREATE TABLE s.b (a int CONSTRAINT key REFERENCES a, x int); CREATE TABLE c (a int REFERENCES a);`,
    });
    await perform(up, project.context(), {});
    await project.write({
      "0002_drop.up.sql":
        "ALTER TABLE s.b DROP CONSTRAINT key; ALTER TABLE s.b DROP COLUMN a; ALTER TABLE s.b DROP COLUMN x; DROP TABLE c; DROP TABLE a CASCADE;",
    });
    const { output } = await perform(plan, contextOf(project), {});
    const [migration] = (output as { migrations: { statements: { locks: { relation: string }[] }[] }[] })
      .migrations;
    expect(migration?.statements.map((each) => each.locks.map((lock) => lock.relation))).toEqual([
      ["s.b", "a"],
      ["s.b", "a"],
      ["s.b"],
      ["c", "a"],
      ["a", "s.b", "c"],
    ]);
  });

  test("a gate asks for a test of exactly the pending files, which passed and is young enough", async () => {
    await using project = await liveProject();
    const context = contextOf(project);
    expect(await answer(context)).toEqual({
      status: "fail",
      reason: "never tested: 0002_bigint; run: ops migrate test",
    });
    const { path, ...report } = await runTest(context, {});
    expect((await answer(context)).status).toBe("pass");
    expect((await answer(context, { "on-copy": true })).reason).toBe(
      "only an empty database was tested; run: ops migrate test --from-backup latest",
    );
    // Of a copy that holds it already.
    const copy = { ...report.passes[0], from: "copy", migrations: [] };
    await writeFile(path, JSON.stringify({ ...report, passes: [...report.passes, copy] }));
    expect((await answer(context, { "on-copy": true })).reason).toBe(
      "0002_bigint ran on no copy, where it was applied already; run: ops migrate test on a copy without it",
    );
    const later = { ...context.clock, now: () => new Date(Date.now() + 8 * 86_400_000) };
    expect((await answer({ ...context, clock: later })).reason).toMatch(
      /^the test is 8d 0h old, more than 7d 0h/,
    );
    await project.write({ "0002_bigint.down.sql": "SELECT 1;" });
    expect((await answer(context)).reason).toMatch(/^not tested as the files are now: 0002_bigint;/);
    await runTest(context, {});
    expect((await answer(context)).reason).toMatch(/^their test failed: 0002_bigint; see /);
  });

  test("a gate is content where nothing is pending", async () => {
    await using project = await Project.create(cluster, applied);
    await perform(up, project.context(), {});
    expect(await answer(contextOf(project))).toEqual({ status: "pass", reason: "nothing is pending" });
  });
});
