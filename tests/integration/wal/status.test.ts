import { readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { startCluster } from "../../../src/postgres/cluster.ts";
import { checks } from "../../../src/wal/checks.ts";
import { testContext } from "../../support/context.ts";
import { measuredCheck } from "../../support/measured-check.ts";
import { promtool } from "../../support/promtool.ts";
import { until, WalSetting } from "./setting.ts";

describe("wal status", () => {
  let setting: WalSetting;
  let segments: string[];

  beforeAll(async () => {
    setting = await WalSetting.start();
    segments = await setting.fillSegments(4);
    await setting.untilArchived(segments.at(-1) ?? "");
  });
  afterAll(() => setting.stop());

  const status = async (options: readonly string[] = []) => {
    const { exitCode, stdout } = await setting.asServer(["wal", "status", "--json", ...options]);
    return { exitCode, ...JSON.parse(stdout) };
  };
  const object = (file: string) => setting.path("store/pitr/main/wal", file.slice(0, 8), `${file}.zst.age`);

  async function finishedAgo(segment: string, ms: number): Promise<void> {
    const then = new Date(Date.now() - ms);
    await utimes(setting.inPgWal(segment), then, then);
  }

  async function judged(limit: string) {
    const config = await loadConfig({ file: setting.config, cwd: setting.folder, variables: {} });
    const context = { ...testContext({}), environment: config.environment() };
    return measuredCheck(context, checks, { kind: "wal-lag", with: { database: "main" }, fail: limit });
  }

  it("says how far the archive is behind, and how much room is left", async () => {
    const found = await status();

    expect(found).toMatchObject({ exitCode: 0, archives: true, failing: null, waiting: 0, warnings: [] });
    expect(found.stores).toEqual([
      expect.objectContaining({ store: "store", error: null, lagBytes: expect.any(Number) }),
    ]);
    expect(found.stores[0].lagBytes).toBeLessThan(2 ** 24);
    expect(found.stores[0].timelines[0].gaps).toEqual([]);
    expect(found.freeBytes).toBeGreaterThan(0);
    await expect(judged("> 5m")).resolves.toMatchObject({ status: "pass" });
    await expect(judged("> 100MiB")).resolves.toMatchObject({ status: "pass" });
  });

  it("names every gap", async () => {
    const missing = segments[1] ?? "";
    await rename(object(missing), setting.path("taken"));
    const found = await status();
    await rename(setting.path("taken"), object(missing));

    expect(found.stores[0].timelines[0].gaps).toEqual([{ first: missing, last: missing, count: 1 }]);
    expect(found.warnings).toEqual([`store lacks ${missing}`]);
  });

  it("tells of a receiver that is gone, although the server archives by itself", async () => {
    await setting.query("SELECT pg_create_physical_replication_slot('ops_main', true)");
    await expect(judged("> 5m")).resolves.toMatchObject({
      status: "warn",
      reason: expect.stringContaining("nothing receives from the slot ops_main"),
    });
    const [name = ""] = await setting.fillSegments(1);
    await setting.untilArchived(name);
    const [kept] = await setting.query<{ name: string }>(
      "SELECT pg_walfile_name(restart_lsn) AS name FROM pg_replication_slots",
    );
    await finishedAgo(kept?.name ?? "", 600_000);
    const found = await status();

    // What the slot holds fills the disk, although nothing waits for archive_command.
    const rate = found.receiver.keptBytes / found.lagMs;
    expect(found.fullInMs).toBeCloseTo(found.freeBytes / rate, -1);
    await expect(judged("> 5m")).resolves.toMatchObject({ status: "fail" });
    await setting.query("SELECT pg_drop_replication_slot('ops_main')");
  });

  it("fails while the server cannot archive, and says what waits", async () => {
    const failed = async () => {
      const [row] = await setting.query<{ failed: number }>(
        "SELECT failed_count::int AS failed FROM pg_stat_archiver",
      );
      return row?.failed ?? 0;
    };
    const before = await failed();
    await rename(setting.path("store"), setting.path("away"));
    await writeFile(setting.path("store"), "not a folder");
    await setting.fillSegments(2);
    await until(async () => (await failed()) > before, "the archiver to fail");
    // One that is on its way is no pile.
    const early = await status();
    expect(early.waiting).toBeGreaterThan(0);
    expect(early).toMatchObject({ fullInMs: null });
    const folder = setting.inPgWal("archive_status");
    const earlier = new Date(Date.now() - 120_000);
    for (const each of await readdir(folder))
      if (each.endsWith(".ready")) await utimes(join(folder, each), earlier, earlier);
    const file = setting.path("ops.prom");
    const found = await status(["--prometheus", file]);
    const metrics = await readFile(file, "utf8");

    expect(found.exitCode).toBe(3);
    expect(found.waiting).toBeGreaterThan(0);
    expect(found.stores[0].error).toContain("cannot be used");
    // As WAL has piled up since the oldest file waits.
    const rate = (found.waiting * 2 ** 24) / found.waitingMs;
    expect(found.fullInMs).toBeCloseTo(found.freeBytes / rate, -1);
    expect(await promtool(metrics)).toEqual({ code: 0, output: "" });
    const labels = 'environment="default",database="main"';
    expect(metrics).toContain(`ops_wal_failing{${labels}} 1\n`);
    expect(metrics).toContain(`ops_wal_store_up{${labels},store="store"} 0\n`);
    expect(metrics).toContain(`ops_wal_waiting_files{${labels}} ${found.waiting}\n`);
    expect(metrics).toContain(`ops_wal_full_seconds{${labels}} ${found.fullInMs / 1000}\n`);
    await expect(judged("> 5m")).resolves.toMatchObject({ status: "fail" });
    await rm(setting.path("store"), { recursive: true, force: true });
    await rename(setting.path("away"), setting.path("store"));
  });

  it("fails where the server takes for archived what never came, also once it has it no more", async () => {
    await setting.cluster.stop();
    setting.cluster = await startCluster({
      directory: setting.path("data"),
      port: setting.cluster.port,
      settings: { fsync: "off", archive_mode: "on", archive_command: "/bin/true" },
    });
    const names = await setting.fillSegments(2);
    await setting.untilArchived(names.at(-1) ?? "");
    const { missing } = (await status()).stores[0];
    // Now and then a segment is on its way.
    await expect(judged("> 5m")).resolves.toMatchObject({ status: "pass" });
    await finishedAgo(missing, 90_000);
    const behind = await status();
    await setting.query("CHECKPOINT");
    const removed = await status();

    expect(behind).toMatchObject({ exitCode: 3, isOurs: false, waiting: 0, failing: null });
    expect(behind.lagMs).toBeGreaterThanOrEqual(90_000);
    expect(behind.warnings.join("; ")).toMatch(
      new RegExp(`store lacks WAL ${missing} .*takes it for archived; archive_command is another tool's`),
    );
    expect(removed).toMatchObject({ exitCode: 3, lagMs: null, stores: [{ missing, lagMs: null }] });
    expect(removed.warnings.join("; ")).toContain("which the server has no more");
    await expect(judged("> 5m")).resolves.toMatchObject({ status: "fail" });
    await expect(judged("> 100GiB")).resolves.toMatchObject({ status: "fail" });
  });
});

it("an empty archive_command archives nothing, whatever archive_mode says", async () => {
  const setting = await WalSetting.start({ archive_command: "" });
  try {
    const { exitCode, stdout, stderr } = await setting.asServer(["wal", "status", "--json"]);

    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ archives: false });
    expect(stderr).toContain("archive_command is empty");
  } finally {
    await setting.stop();
  }
});
