import { afterAll, beforeAll, expect, it } from "vitest";
import { startCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting } from "./setting.ts";

let setting: PitrSetting;

beforeAll(async () => {
  setting = await PitrSetting.start();
  // As it comes from the package: without any settings on the command line.
  await setting.wal.cluster.stop();
  const cluster = await startCluster({
    directory: setting.wal.path("data"),
    env: { HOME: setting.wal.folder },
    settings: { fsync: "off" },
  });
  setting.wal.cluster = cluster;
  await setting.wal.configure();
});
afterAll(() => setting.stop());

const restart = async () => {
  await setting.wal.cluster.stop();
  setting.wal.cluster = await startCluster({
    directory: setting.wal.path("data"),
    port: setting.wal.cluster.port,
    env: { HOME: setting.wal.folder },
    settings: { fsync: "off" },
  });
};

it("a server archives after setup and a restart, has nothing to change then, and goes back", async () => {
  const setup = operation("pitr.setup");
  const done = await perform(setup, setting.context(), {});

  expect(done.changes.map((each) => each.summary.split(" = ")[0])).toEqual([
    "archive_mode",
    "archive_command",
    "archive_timeout",
  ]);
  expect(done.output).toMatchObject({
    restart: ["archive_mode"],
    unit: {
      name: "ops-wal-receive-main.service",
      text: expect.stringMatching(
        /^ExecStart=.*\/bin\/ops wal receive --database main --create-slot --env default /m,
      ),
    },
  });

  await restart();
  expect(await setting.wal.query("SHOW archive_timeout")).toEqual([{ archive_timeout: "1min" }]);
  expect(setup.plan(await setup.observe(setting.context(), setup.input.parse({})), {})).toEqual([]);
  const [name] = await setting.wal.fillSegments(1);
  await until(() => setting.wal.isInStore(name ?? ""), "the segment to be archived");

  expect(await done.undo()).toMatchObject({ undone: true });
  await restart();
  const rows = await setting.wal.query(
    "SELECT current_setting('archive_mode') AS mode, current_setting('archive_timeout') AS timeout",
  );
  expect(rows).toEqual([{ mode: "off", timeout: "0" }]);
}, 60_000);

it("where the log is received as it is written, segments need no end in time", async () => {
  await setting.wal.query("SELECT pg_create_physical_replication_slot('ops_main')");
  const setup = operation("pitr.setup");
  const planned = setup.plan(await setup.observe(setting.context(), setup.input.parse({})), {});
  await setting.wal.query("SELECT pg_drop_replication_slot('ops_main')");

  expect(planned.map((each) => each.summary.split(" = ")[0])).toEqual(["archive_mode", "archive_command"]);
});

it("a server that archives with a library calls no command: that is refused", async () => {
  await setting.wal.query("ALTER SYSTEM SET archive_library = 'basic_archive'");
  const setup = operation("pitr.setup");

  await expect(setup.observe(setting.context(), {})).rejects.toMatchObject({
    code: "E_TARGET",
    message: expect.stringContaining("archives with the library basic_archive"),
  });
  await setting.wal.query("ALTER SYSTEM RESET archive_library");
});

it("without a configuration file there is nothing that archive_command could name", async () => {
  const setup = operation("pitr.setup");
  const { environment, ...rest } = setting.context();
  const without = Object.assign(Object.create(Object.getPrototypeOf(environment)), environment, {
    file: undefined,
  });

  await expect(setup.observe({ ...rest, environment: without }, {})).rejects.toMatchObject({
    code: "E_TARGET",
  });
});

it("what the server's command line fixes is refused, not changed without an effect", async () => {
  await setting.wal.cluster.stop();
  setting.wal.cluster = await startCluster({
    directory: setting.wal.path("data"),
    port: setting.wal.cluster.port,
    settings: { fsync: "off", archive_mode: "off" },
  });
  const setup = operation("pitr.setup");

  await expect(setup.observe(setting.context(), setup.input.parse({}))).rejects.toMatchObject({
    code: "E_TARGET",
    message: expect.stringContaining("archive_mode"),
  });
});
