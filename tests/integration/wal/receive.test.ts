import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { PostgresProxy } from "../../support/postgres-proxy.ts";
import { ReceiveSetting } from "./receiver.ts";
import { until } from "./setting.ts";

// Several servers and commands one after the other.
vi.setConfig({ testTimeout: 240_000 });

let setting: ReceiveSetting;
afterEach(() => setting.stop());

const status = async () => {
  const { exitCode, stdout } = await setting.wal.asServer(["wal", "status", "--json"]);
  return { exitCode, ...JSON.parse(stdout) };
};

it("a lost server costs what was not confirmed, not a segment", async () => {
  setting = await ReceiveSetting.start();
  const receiver = await setting.receiver();
  await receiver.says("receiving timeline 1");
  await setting.base("base");
  await setting.write(1, 1000);
  const names = await setting.wal.fillSegments(2);
  await setting.untilDurable(await setting.write(1001, 1500));
  await setting.wal.cluster.kill();
  await receiver.says("the server keeps its log; again in");

  expect(await receiver.end()).toBe(0);
  expect(await setting.liveParts()).not.toEqual([]);
  expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(1500);

  // With nothing but live parts behind it, a missing segment is a gap all the same.
  const missing = names.at(-1) ?? "";
  await rm(setting.wal.path("store/pitr/main/wal", missing.slice(0, 8), `${missing}.zst.age`));
  const fetched = await setting.wal.asServer(["wal", "fetch", missing, "pg_wal/RECOVERYXLOG"]);
  expect(fetched.exitCode).toBe(255);
  expect(fetched.stderr).toContain(`has no ${missing}, but segments behind it`);
});

it("archives as wal push does, removes live parts of whole segments, and goes on where it was", async () => {
  setting = await ReceiveSetting.start({ wal_keep_size: "1GB" });
  const first = await setting.receiver();
  await first.says("receiving timeline 1");
  await setting.untilDurable(await setting.write(1, 10));
  const names = await setting.wal.fillSegments(2);
  await setting.untilDurable(await setting.write(11, 20));
  expect(await first.end()).toBe(0);
  expect(first.output).toMatch(/Stopped; \d+ segments of main were archived/);
  names.push(...(await setting.wal.fillSegments(3)));
  const stopped = await status();

  const second = await setting.receiver();
  await setting.untilDurable(await setting.write(21, 30));
  const running = await status();

  for (const each of names) {
    expect((await setting.wal.archived(each)).equals(await setting.wal.read(each))).toBe(true);
    expect((await setting.wal.asServer(["wal", "push", `pg_wal/${each}`])).exitCode).toBe(0);
  }
  const open = (await setting.liveParts()).map((each) => each.slice(9, 33));
  expect(open.every((each) => each > (names.at(-1) ?? ""))).toBe(true);
  expect(stopped).toMatchObject({
    exitCode: 3,
    archives: false,
    receiver: { slot: "ops_main", active: false },
  });
  expect(stopped.warnings.join()).toContain("nothing receives from the slot ops_main");
  expect(running).toMatchObject({ exitCode: 0, receiver: { active: true }, warnings: [] });
  expect(running.stores[0].lagBytes).toBeLessThan(2 ** 20);
  expect(await second.end()).toBe(0);
});

describe("what it refuses", () => {
  it("a slot that does not exist, where none shall be made", async () => {
    setting = await ReceiveSetting.start();
    const { exitCode, stderr } = await setting.wal.asServer(["wal", "receive", "--database", "main"]);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('The replication slot "ops_main" of main does not exist');
    expect(await setting.liveParts()).toEqual([]);
    expect(await setting.wal.query("SELECT FROM pg_replication_slots")).toEqual([]);
  });

  it("a second receiver, another cluster's archive, and a logical slot", async () => {
    setting = await ReceiveSetting.start({ wal_level: "logical" });
    const first = await setting.receiver();
    await setting.untilDurable(await setting.write(1, 10));
    const second = await setting.receiver();
    expect(await second.ended).toBe(6);
    expect(second.output).toContain("Another receiver reads from the slot");
    expect(await first.end()).toBe(0);

    await setting.wal.query("SELECT pg_drop_replication_slot('ops_main')");
    await setting.wal.query("SELECT pg_create_logical_replication_slot('ops_main', 'test_decoding')");
    const logical = await setting.receiver();
    expect(await logical.ended).toBe(2);
    expect(logical.output).toContain("is a logical one");

    const record = setting.wal.path("store/pitr/main/cluster.json");
    await setting.wal.query("SELECT pg_drop_replication_slot('ops_main')");
    await writeFile(record, (await readFile(record, "utf8")).replace(/"\d{19}"/, '"1234567890123456789"'));
    const foreign = await setting.receiver();
    expect(await foreign.ended).toBe(1);
    expect(foreign.output).toContain("belongs to another cluster");
  });

  it("a slot that the server has given up", async () => {
    setting = await ReceiveSetting.start({ max_slot_wal_keep_size: "16MB", max_wal_size: "32MB" });
    const first = await setting.receiver();
    await setting.untilDurable(await setting.write(1, 10));
    expect(await first.end()).toBe(0);
    await setting.wal.fillSegments(6);
    await setting.wal.query("CHECKPOINT");
    await setting.wal.fillSegments(2);
    await setting.wal.query("CHECKPOINT");

    const second = await setting.receiver();
    expect(await second.ended).toBe(2);
    expect(second.output).toContain("was given up by the server");
    expect((await status()).warnings.join()).toContain("has given up the slot ops_main");
  });
});

describe("what it survives", () => {
  it("a store that is away: the server keeps its log, and shuts down and starts meanwhile", async () => {
    setting = await ReceiveSetting.start();
    await setting.wal.asServerFolder("second");
    await setting.wal.configure(["store", "second"]);
    const receiver = await setting.receiver();
    await receiver.says("receiving timeline 1");
    await setting.base("base");
    await setting.untilDurable(await setting.write(1, 10));
    // A file in the place of the folder: nothing can be written there.
    await rename(setting.wal.path("second"), setting.wal.path("away"));
    await writeFile(setting.wal.path("second"), "");
    await setting.write(11, 20);
    await setting.wal.fillSegments(8);
    await receiver.says("the server keeps its log; again in");
    await setting.wal.cluster.stop();
    await setting.restart();
    await setting.write(21, 30);
    await rm(setting.wal.path("second"));
    await rename(setting.wal.path("away"), setting.wal.path("second"));

    await setting.untilDurable(await setting.write(31, 40));
    await setting.wal.cluster.kill();
    expect(await receiver.end()).toBe(0);
    expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(40);
    expect((await setting.liveParts("second")).length).toBeGreaterThan(0);
  });

  it("a cut connection, again and again", async () => {
    setting = await ReceiveSetting.start();
    const proxy = await PostgresProxy.start(setting.wal.cluster.port);
    try {
      await setting.wal.configure(["store"], proxy.url("postgres"));
      const receiver = await setting.receiver();
      await receiver.says("receiving timeline 1");
      await setting.base("base");
      for (let round = 1; round <= 3; round += 1) {
        await setting.wal.fillSegments(1);
        await setting.untilDurable(await setting.write(round * 10 + 1, round * 10 + 10));
        proxy.cut();
        await setting.write(round * 100 + 1, round * 100 + 10);
      }
      await setting.untilDurable(await setting.write(1, 10));
      await setting.wal.cluster.kill();
      expect(await receiver.end()).toBe(0);
      expect(receiver.output.match(/receiving timeline 1/g)?.length).toBeGreaterThan(3);
      expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(70);
    } finally {
      await proxy[Symbol.asyncDispose]();
    }
  });

  it("a server that shuts down has everything in the stores", async () => {
    setting = await ReceiveSetting.start();
    const receiver = await setting.receiver(["wal", "receive", "--create-slot", "--every", "10m"]);
    await receiver.says("receiving timeline 1");
    await setting.base("base");
    await setting.write(1, 77);
    await setting.wal.cluster.stop();

    await until(async () => receiver.output.includes("again in"), "the receiver to notice");
    expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(77);
  });
});
