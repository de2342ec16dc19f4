import { chown, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { pointRecords } from "../../../src/pitr/point-records.ts";
import { restorePoints } from "../../../src/pitr/restore-points.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import type { MadeRestorePoint } from "../../../src/run/restore-point.ts";
import { RecordingReport, testContext } from "../../support/context.ts";
import { type OpsResult, projectRoot } from "../../support/ops.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { PitrSetting, queryPort, type Restored } from "./setting.ts";

/* The built command against a server that archives. */

let setting: PitrSetting;

beforeAll(async () => {
  setting = await PitrSetting.start();
  const { owner } = await serverUser(setting.wal.cluster.directory);
  const migrations = setting.wal.path("migrations");
  await mkdir(migrations);
  await writeFile(join(migrations, "0001_orders.up.sql"), "CREATE TABLE orders (n int PRIMARY KEY);\n");
  await writeFile(join(migrations, "0001_orders.down.sql"), "DROP TABLE orders;\n");
  if (owner !== undefined) await chown(migrations, owner.uid, owner.gid);
  await setting.wal.query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)");
  await setting.base();
}, 120_000);
afterAll(() => setting.stop());

beforeEach(async () => {
  await rm(setting.wal.path("store/pitr/main/point"), { recursive: true, force: true });
  await setting.wal.query("DROP TABLE IF EXISTS orders; DROP SCHEMA IF EXISTS ops CASCADE");
  await rm(setting.wal.path(".ops"), { recursive: true, force: true });
});

const ops = (...args: string[]): Promise<OpsResult> => setting.wal.asServer(args);

const archivedPoints = () =>
  readdir(setting.wal.path("store/pitr/main/point")).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return [];
  });

async function pointsOfLastRun(): Promise<MadeRestorePoint[]> {
  const { stdout } = await ops("runs", "show", "last", "--json");
  const { steps } = JSON.parse(stdout) as { steps: { restorePoints?: MadeRestorePoint[] }[] };
  return steps.flatMap((each) => each.restorePoints ?? []);
}

const hasOrders = async () => {
  const [row] = await setting.wal.query<{ yes: boolean }>("SELECT to_regclass('orders') IS NOT NULL AS yes");
  return row?.yes;
};

it("migrate up makes one before the first change, shows it, and it can be restored to", async () => {
  const planned = await ops("migrate", "up", "--dry-run");
  expect(planned.stdout).toContain("first: a restore point of main");
  expect(await archivedPoints()).toEqual([]);

  const done = await ops("migrate", "up");
  expect(done, done.stderr).toMatchObject({ exitCode: 0 });
  const [point] = await pointsOfLastRun();
  expect(done.stderr).toContain(`restore point of main at ${point?.lsn}`);
  expect(done.stderr).toContain(`ops pitr restore --database main --to-name ${point?.name}`);
  expect((await ops("runs", "show", "last")).stdout).toContain(point?.name);

  await setting.wal.fillSegments(1);
  const { output } = await setting.restore({ "to-name": point?.name });
  const { port } = output as Restored;
  const [row] = await queryPort<{ kept: number; orders: string | null; history: string | null }>(
    port,
    "SELECT (SELECT count(*)::int FROM kept) AS kept, to_regclass('orders')::text AS orders",
  );
  expect(row).toEqual({ kept: 2, orders: null });
}, 120_000);

it("a migrate up that has nothing to do makes none", async () => {
  await ops("migrate", "up", "--no-restore-point");

  expect(await ops("migrate", "up")).toMatchObject({ exitCode: 0 });
  expect(await archivedPoints()).toEqual([]);
});

it("a step that destroys makes one of its own in a runbook", async () => {
  const file = setting.wal.path("runbook.yaml");
  await writeFile(
    file,
    "name: there-and-back\nsteps:\n  - { id: up, uses: migrate.up, with: { database: main } }\n" +
      "  - { id: down, uses: migrate.down, with: { database: main, steps: 1 } }\n",
  );

  const done = await ops("run", file, "--yes");
  expect(done, done.stderr).toMatchObject({ exitCode: 0 });
  const names = (await pointsOfLastRun()).map((each) => each.name.replace(/-\d+-\d+-\w+-/, "-RUN-"));
  expect(names).toEqual(["before-RUN-up", "before-RUN-down"]);
  expect(await archivedPoints()).toHaveLength(2);
  expect(done.stdout).toContain("restore point of main at");
});

it("where none can be made nothing is changed; with --no-restore-point it goes on", async () => {
  await writeFile(setting.wal.path("store/pitr/main/point"), "a file in the way\n");

  const refused = await ops("migrate", "up");
  expect(refused).toMatchObject({ exitCode: 1 });
  expect(refused.stderr).toContain("E_RESTORE_POINT");
  expect(refused.stderr).toContain("--no-restore-point");
  expect(await hasOrders()).toBe(false);

  const resumed = await ops("runs", "resume", "last", "--no-restore-point");
  expect(resumed, resumed.stderr).toMatchObject({ exitCode: 0 });
  expect(await hasOrders()).toBe(true);
});

it("a user who may not make one is told before the run begins, and what to grant", async () => {
  await setting.wal.query(
    "CREATE ROLE deployer LOGIN; GRANT CREATE ON DATABASE postgres TO deployer; GRANT CREATE ON SCHEMA public TO deployer",
  );
  try {
    const env = { OPS_DATABASE_URL: setting.wal.cluster.url().replace("postgres@", "deployer@") };
    const refused = await setting.wal.asServer(["migrate", "up"], env);
    expect(refused, refused.stderr).toMatchObject({ exitCode: 2 });
    expect(refused.stderr).toContain(
      "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO deployer",
    );

    await setting.wal.query(
      "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO deployer",
    );
    const done = await setting.wal.asServer(["migrate", "up"], env);
    expect(done, done.stderr).toMatchObject({ exitCode: 0 });
    expect(await archivedPoints()).toHaveLength(1);
  } finally {
    await setting.wal.query("DROP OWNED BY deployer; DROP ROLE deployer");
  }
});

it.each(["before", "after"])(
  "killed %s any entry of the journal, a resume makes no second one",
  async (when) => {
    const killer = join(projectRoot, "tests/support/kill-at-entry.mjs");
    for (let entry = 2; ; entry += 1) {
      await setting.wal.query("DROP TABLE IF EXISTS orders; DROP SCHEMA IF EXISTS ops CASCADE");
      await rm(setting.wal.path(".ops"), { recursive: true, force: true });
      await rm(setting.wal.path("store/pitr/main/point"), { recursive: true, force: true });
      const killed = await setting.wal.asServer(["migrate", "up"], {
        NODE_OPTIONS: `--import ${killer}`,
        KILL_AT_ENTRY: String(entry),
        KILL_WHEN: when,
      });
      if (killed.signal !== "SIGKILL") {
        expect(killed, killed.stderr).toMatchObject({ exitCode: 0 });
        expect(entry).toBeGreaterThan(6);
        return;
      }
      const resumed = await ops("runs", "resume", "last");
      expect(resumed, `entry ${entry}: ${resumed.stderr}`).toMatchObject({ exitCode: 0 });
      expect(await hasOrders()).toBe(true);
      expect(await pointsOfLastRun(), `entry ${entry}`).toHaveLength(1);
      expect(await archivedPoints()).toHaveLength(1);
    }
  },
  120_000,
);

it("a cluster that does not archive its WAL is not asked for one", async () => {
  const cluster = await startTestCluster({ archive_mode: "off" });
  try {
    const store = { url: `file:${setting.wal.path("store")}`, recipients: [setting.wal.recipient] };
    const context = testContext({
      databases: { main: { url: cluster.url(), pitr: { store: "store" } } },
      stores: { store },
    });
    expect(await restorePoints.isArchived(context, "main")).toBe(false);
  } finally {
    await cluster.stop();
  }
});

it("a server without archive_mode is archived where there is a slot of the name that is configured", async () => {
  const cluster = await startTestCluster();
  const url = cluster.url();
  const context = testContext({
    databases: { main: { url, pitr: { store: "s", slot: "to_the_archive" } } },
    stores: { s: { url: "file:/nowhere", recipients: [setting.wal.recipient] } },
  });
  try {
    await queryPort(cluster.port, "SELECT pg_create_physical_replication_slot('ops_of_others')");
    expect(await restorePoints.isArchived(context, "main")).toBe(false);
    await queryPort(cluster.port, "SELECT pg_create_physical_replication_slot('to_the_archive')");
    expect(await restorePoints.isArchived(context, "main")).toBe(true);
  } finally {
    await cluster.stop();
  }
}, 60_000);

it("a name that another run has taken meanwhile is not overwritten, and not taken for ours", async () => {
  const context = setting.context();
  const records = await pointRecords(context, context.environment.database("main"));
  const point = (run: string, lsn: string) => ({
    ...{ format: "ops-restore-point" as const, version: 1 as const, name: "raced", database: "main" },
    ...{ lsn, timeline: 1, madeAt: new Date().toISOString(), run, actor: "a@b" },
  });
  const report = new RecordingReport();

  expect(await records.write(point("one", "0/5000028"), report)).toBeUndefined();
  expect(await records.write(point("one", "0/5000028"), report)).toBeUndefined();
  expect(await records.write(point("two", "0/6000028"), report)).toMatchObject({ run: "one" });
  await records.remove("raced", report);
});
