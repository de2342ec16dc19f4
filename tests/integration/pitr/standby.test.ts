import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Cluster, startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { perform } from "../../support/context.ts";
import { HeldConnection } from "../../support/held-connection.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

let setting: PitrSetting;
let standby: Cluster;

beforeAll(async () => {
  setting = await PitrSetting.start();
  const { wal } = setting;
  await wal.query(
    "CREATE TABLE ledger AS SELECT n, md5(n::text || random()) || md5(random()::text) AS text FROM generate_series(1, 200000) n",
  );
  standby = await newStandby("standby");
}, 120_000);
afterAll(async () => {
  await standby?.stop();
  await setting?.stop();
});

/** Made by the stock program; it follows the primary. */
async function newStandby(name: string): Promise<Cluster> {
  const { wal } = setting;
  await wal.baseBackup(name);
  const directory = wal.path(name);
  await writeFile(join(directory, "standby.signal"), "");
  await appendFile(
    join(directory, "postgresql.auto.conf"),
    `primary_conninfo = 'host=127.0.0.1 port=${wal.cluster.port} user=postgres'\n`,
  );
  const { owner } = await serverUser(directory);
  if (owner !== undefined) await runProgram("chown", ["-R", `${owner.uid}:${owner.gid}`, directory]);
  return startCluster({ directory, settings: { fsync: "off", archive_mode: "off" } });
}

function context(url = standby.url()) {
  const { databases, stores } = setting.settings;
  const { main } = databases;
  return setting.context({ databases: { main: { ...main, pitr: { ...main.pitr, standby: url } } }, stores });
}

const create = operation("pitr.base.create");
const observed = (url?: string, input: object = {}) =>
  create.observe(context(url), create.input.parse(input));

async function caughtUp(): Promise<void> {
  const [row] = await setting.wal.query<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
  await until(async () => {
    const found = await queryPort<{ yes: boolean }>(
      standby.port,
      `SELECT pg_last_wal_replay_lsn() >= '${row?.lsn}'::pg_lsn AS yes`,
    );
    return found[0]?.yes === true;
  }, "the standby to catch up");
}

it("a base backup is read from the standby, its WAL comes from the primary, and it can be restored", async () => {
  await setting.wal.query("INSERT INTO ledger VALUES (0, 'before')");
  await caughtUp();
  const made = await perform(create, context(), {});

  expect(create.notes?.(made.before, {})).toEqual([
    expect.stringMatching(/read from the standby, which is .* behind/),
  ]);
  expect(made.output).toMatchObject({ missingWal: [] });
  await setting.wal.query("INSERT INTO ledger VALUES (-1, 'after')");
  const [row] = await setting.wal.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
  await setting.wal.untilArchived(row?.name ?? "");
  const { output } = await setting.restore({ latest: true });
  const { base, port, directory } = output as Restored;
  expect(base).toBe((made.output as { id: string }).id);
  expect(await queryPort(port, "SELECT count(*)::int AS n FROM ledger")).toEqual([{ n: 200_002 }]);
  await stopCluster(directory);
}, 120_000);

it("a standby that is away is an error, or with --from any a reason to take the primary", async () => {
  const away = "postgresql://postgres@127.0.0.1:1/postgres";

  await expect(observed(away)).rejects.toMatchObject({
    code: "E_STANDBY",
    hint: expect.stringMatching(/--from primary/),
  });
  expect(await observed(away, { from: "any" })).toMatchObject({
    server: "primary",
    remark: expect.stringMatching(/^it is read from the primary: .*cannot be reached: .*ECONNREFUSED/),
  });
  expect(await observed(away, { from: "primary" })).toMatchObject({ server: "primary", remark: null });
});

it("what is no standby of this cluster is refused by name", async () => {
  await expect(observed(setting.wal.cluster.url())).rejects.toMatchObject({
    code: "E_STANDBY",
    message: expect.stringMatching(/is no standby/),
  });
  const without = create.observe(setting.context(), create.input.parse({ from: "standby" }));
  await expect(without).rejects.toMatchObject({ code: "E_TARGET", exitCode: 2 });
});

it("full_page_writes that are off on the primary are told before anything is written", async () => {
  await setting.wal.query("ALTER SYSTEM SET full_page_writes = off");
  await setting.wal.query("SELECT pg_reload_conf()");
  await until(async () => {
    const [row] = await setting.wal.query<{ value: string }>(
      "SELECT current_setting('full_page_writes') AS value",
    );
    return row?.value === "off";
  }, "the setting");
  await expect(observed()).rejects.toMatchObject({
    message: expect.stringMatching(/full_page_writes is off/),
  });
  await setting.wal.query("ALTER SYSTEM RESET full_page_writes");
  await setting.wal.query("SELECT pg_reload_conf()");
  // A restartpoint behind the pages that were not written whole.
  await setting.wal.query("CHECKPOINT");
  await caughtUp();
});

it("a promotion during the base backup fails it, and there is none; what is left is removed by a roll-back", async () => {
  await using held = await HeldConnection.start(standby.port, 2_000_000);
  const url = standby.url().replace(`:${standby.port}/`, `:${held.port}/`);
  const before = JSON.parse(JSON.stringify(await observed(url)));
  const input = create.input.parse({});
  const report = {
    last: undefined,
    progress: () => undefined,
    log: () => undefined,
    checkpoint: async () => undefined,
  };
  const attempt = create.apply(context(url), input, before, report);
  const failure = expect(attempt).rejects.toMatchObject({
    code: "E_STANDBY",
    hint: expect.stringMatching(/--from primary/),
  });

  await held.held;
  const client = new pg.Client(standby.url());
  await client.connect();
  await client.query("SELECT pg_promote()");
  await client.end();
  held.release();

  await failure;
  await expect(create.undo?.(context(url), input, before, report)).resolves.toMatchObject({
    undone: true,
    note: expect.stringMatching(/is removed/),
  });
}, 60_000);
