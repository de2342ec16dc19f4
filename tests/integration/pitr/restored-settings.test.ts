import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { archiveCommand, until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

/* A cluster whose own settings are in the way of its copy. */

let setting: PitrSetting;
const variable = "OPS_TEST_IDENTITY";

beforeAll(async () => {
  setting = await PitrSetting.start();
  const { directory } = setting.wal.cluster;
  await appendFile(
    join(directory, "postgresql.conf"),
    [
      "",
      "recovery_target_time = '2020-01-01 00:00:00+00'",
      `data_directory = '${directory}'`,
      `external_pid_file = '${setting.wal.path("server.pid")}'`,
      "",
    ].join("\n"),
  );
  // As with Debian, where it is not in the data folder.
  await rm(join(directory, "pg_ident.conf"));
  await setting.wal.query("CREATE TABLE ledger AS SELECT 1 AS n");
  await setting.base();
  await setting.wal.query("INSERT INTO ledger VALUES (2)");
  await setting.wal.cluster.stop();
  setting.wal.cluster = await startCluster({
    directory,
    port: setting.wal.cluster.port,
    env: { OPS_CONFIG: setting.wal.config, HOME: setting.wal.folder },
    settings: { fsync: "off", archive_mode: "on", archive_command: archiveCommand, max_connections: "170" },
  });
  await setting.wal.query("INSERT INTO ledger VALUES (3)");
  const [last = ""] = await setting.wal.fillSegments(1);
  await until(() => setting.wal.isInStore(last), "the last segment");
  process.env[variable] = setting.wal.identity;
  const config = await readFile(setting.wal.config, "utf8");
  await writeFile(setting.wal.config, config.replace(/identity: .*/, `identity: env:${variable}`));
}, 120_000);
afterAll(async () => {
  delete process.env[variable];
  await setting.stop();
});

it("an older recovery's target, another data folder, too few connections and a key in a variable are no hindrance", async () => {
  const pidFile = await readFile(setting.wal.path("server.pid"), "utf8");

  const { databases, stores } = setting.settings;
  const store = { ...stores.store, identity: `env:${variable}` };
  const context = setting.context({ databases, stores: { store } });
  const input = { "target-dir": setting.newFolder(), latest: true, start: true };
  const { output } = await perform(operation("pitr.restore"), context, input);

  const { port, directory } = output as Restored;
  const rows = await queryPort<{ n: number }>(port, "SELECT n FROM ledger ORDER BY n");
  const [served] = await queryPort<{ folder: string }>(
    port,
    "SELECT current_setting('data_directory') AS folder",
  );
  await stopCluster(directory);
  expect(rows.map((each) => each.n)).toEqual([1, 2, 3]);
  expect(served).toEqual({ folder: directory });
  expect(await readFile(setting.wal.path("server.pid"), "utf8")).toBe(pidFile);
}, 120_000);

it("killed behind the writing of its settings, a restore goes on", async () => {
  const restored = await setting.restore({ latest: true, start: false });
  const { directory } = restored.output as Restored;
  await writeFile(join(directory, "recovery.signal.ops"), "");
  const last = restored.report.checkpoints.findLast((each) => !(each as { verified: boolean }).verified);
  expect(last).toBeDefined();

  const chosen = operation("pitr.restore");
  const input = chosen.input.parse({ "target-dir": directory, latest: true });
  const output = await chosen.apply(setting.context(), input, restored.before, new RecordingReport(last));

  expect(output).toMatchObject({ state: "prepared" });
  expect(await readFile(join(directory, "pg_ident.conf"), "utf8")).toContain("Written by ops pitr restore");
}, 120_000);
