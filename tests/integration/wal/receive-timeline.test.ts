import { afterEach, expect, it, vi } from "vitest";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { ReceiveSetting } from "./receiver.ts";
import { until } from "./setting.ts";

// Several servers and commands one after the other.
vi.setConfig({ testTimeout: 240_000 });

let setting: ReceiveSetting;
afterEach(() => setting.stop());

const start = () => ReceiveSetting.start({ wal_keep_size: "256MB" });

/** Makes the standby the server of the setting, on the port it has. */
async function promote(standby: Cluster): Promise<void> {
  setting.wal.cluster = standby;
  await setting.wal.query("SELECT pg_promote()");
}

async function untilReplayed(standby: Cluster, rows: number): Promise<void> {
  await until(
    async () => (await setting.wal.rowsOf(standby, "ledger")) === rows,
    `the standby to have ${rows} rows`,
  );
}

it("follows a promotion of the server that it receives from, with its history and without a hole", async () => {
  setting = await start();
  const primary = setting.wal.cluster;
  const standby = await setting.standby("standby");
  await setting.wal.configure(["store"], standby.url());
  const receiver = await setting.receiver();
  await receiver.says("receiving timeline 1");
  await setting.base("base");
  await setting.write(1, 10);
  await setting.wal.fillSegments(2);
  await setting.write(11, 20);
  await untilReplayed(standby, 20);
  await primary.kill();
  await promote(standby);
  await receiver.says("timeline 2 follows");
  await receiver.says("receiving timeline 2");
  await setting.untilDurable(await setting.write(21, 30));
  await setting.wal.fillSegments(1);
  await setting.untilDurable(await setting.write(31, 40));

  expect(await receiver.end()).toBe(0);
  const status = JSON.parse((await setting.wal.asServer(["wal", "status", "--json"])).stdout);
  await standby.kill();
  expect((await setting.wal.archived("00000002.history")).toString()).toContain("no recovery target");
  expect(status.stores[0].timelines.map((each: { timeline: number }) => each.timeline)).toEqual([1, 2]);
  expect(status.warnings.join()).not.toContain("lacks");
  expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(40);
});

it("goes on with a server that took the place of a lost one, where the archive ends and not where its slot begins", async () => {
  setting = await start();
  await setting.base("base");
  const receiver = await setting.receiver();
  await receiver.says("receiving timeline 1");
  const { port } = setting.wal.cluster;
  const standby = await setting.standby("standby");
  await setting.untilDurable(await setting.write(1, 20));
  await untilReplayed(standby, 20);
  await setting.wal.cluster.kill();
  await promote(standby);
  // Much happens before the receiver finds it.
  await setting.wal.fillSegments(3);
  await setting.write(21, 30);
  await setting.wal.query("CHECKPOINT");
  await standby.stop();
  setting.wal.cluster = await startCluster({
    directory: standby.directory,
    port,
    settings: { fsync: "off", wal_keep_size: "256MB" },
  });
  await receiver.says("receiving timeline 2");
  await setting.untilDurable(await setting.write(31, 40));

  expect(await receiver.end()).toBe(0);
  await setting.wal.cluster.kill();
  expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(40);
});
