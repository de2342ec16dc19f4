import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { fetchCommand, until, WalSetting } from "./setting.ts";

describe("wal fetch", () => {
  let setting: WalSetting;
  /** All segments behind the base backup, in order. */
  let segments: string[];

  beforeAll(async () => {
    setting = await WalSetting.start();
    await setting.query("CREATE TABLE written AS SELECT generate_series(1, 10) AS number");
    await setting.baseBackup("base");
    segments = [];
    for (let round = 0; round < 12; round += 1) {
      await setting.query("INSERT INTO written SELECT max(number) + 1 FROM written");
      segments.push(...(await setting.fillSegments(1)));
    }
    await setting.untilArchived(segments.at(-1) ?? "");
  });
  afterAll(() => setting.stop());

  const fetch = (file: string, path: string) =>
    setting.asServer(["wal", "fetch", file, path, "--database", "main"]);
  const object = (file: string) => setting.path("store/pitr/main/wal", file.slice(0, 8), `${file}.zst.age`);

  /** A copy of the base backup that recovers from the archive; what it does in the end is the test's to see. */
  async function recover(name: string): Promise<Cluster> {
    const directory = setting.path(name);
    await cp(setting.path("base"), directory, { recursive: true, preserveTimestamps: true });
    await ownedByServer(directory);
    await runProgram("chmod", ["700", directory]);
    await writeFile(join(directory, "recovery.signal"), "");
    return startCluster({
      directory,
      env: { OPS_CONFIG: setting.config, HOME: setting.folder },
      settings: { fsync: "off", archive_mode: "off", restore_command: fetchCommand },
    });
  }

  it("recovers a server to the end of the archive, segments fetched ahead", async () => {
    const cluster = await recover("recovered");
    try {
      await until(async () => !(await setting.isRecovering(cluster)), "the end of recovery");
      expect(await setting.rowsOf(cluster, "written")).toBe(22);
      const log = await readFile(setting.path("recovered.log"), "utf8");
      for (const each of segments) expect(log).toContain(`restored log file "${each}" from archive`);
      // The process that fetches ahead made the folder; it may still end.
      await until(
        async () => !(await readdir(setting.path("recovered/pg_wal/ops-spool"))).includes("fetch.lock"),
        "the end of fetching ahead",
      );
    } finally {
      await cluster.stop();
    }
  });

  it("gives exactly what was archived, and 1 for what is not there", async () => {
    const [name = ""] = segments;
    const path = setting.path("fetched");
    expect(await fetch(name, path)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
    expect((await readFile(path)).equals(await setting.archived(name))).toBe(true);

    for (const missing of ["0000000100000000000000FE", "00000002.history"]) {
      const result = await fetch(missing, setting.path("none"));
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain("E_WAL_MISSING");
    }
    expect(await readdir(setting.folder)).not.toContain("none");
  });

  it("ends the server, and not its recovery, at a segment that is missing in the middle", async () => {
    const name = segments[5] ?? "";
    await rename(object(name), setting.path("taken"));
    try {
      const result = await fetch(name, setting.path("none"));
      expect(result.exitCode).toBe(255);
      expect(result.stderr).toContain("E_WAL_GAP");
      await expect(recover("with-gap")).rejects.toMatchObject({ code: "E_CLUSTER_START" });
      expect(await readFile(setting.path("with-gap.log"), "utf8")).not.toContain("archive recovery complete");
    } finally {
      await rename(setting.path("taken"), object(name));
    }
  });

  it("never hands out a damaged segment, and takes another store's copy where there is one", async () => {
    const name = segments[6] ?? "";
    const whole = await readFile(object(name));
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 50) ^ 1, damaged.length - 50);
    await writeFile(object(name), damaged);
    try {
      const result = await fetch(name, setting.path("none"));
      expect(result.exitCode).toBe(255);
      expect(result.stderr).toContain("E_WAL_CORRUPT");
      expect(await readdir(setting.folder)).not.toContain("none");

      await cp(setting.path("store"), setting.path("second"), { recursive: true });
      await writeFile(object(name).replace("/store/", "/second/"), whole);
      await ownedByServer(setting.path("second"));
      await setting.configure(["store", "second"]);
      expect(await fetch(name, setting.path("fetched"))).toMatchObject({ exitCode: 0 });
      expect((await readFile(setting.path("fetched"))).equals(await setting.archived(name, "second"))).toBe(
        true,
      );
    } finally {
      await writeFile(object(name), whole);
      await setting.configure();
    }
  });

  it("reads ahead from the next store where the first one is away", async () => {
    await mkdir(setting.path("ahead/pg_wal"), { recursive: true });
    await writeFile(setting.path("ahead/recovery.signal"), "");
    await ownedByServer(setting.path("ahead"));
    await writeFile(setting.path("away"), "not a folder");
    await setting.configure(["away", "store"]);
    try {
      const path = setting.path("ahead/pg_wal/RECOVERYXLOG");
      // It ends at the end of the archive, where only every store together could say that there is no more.
      await setting.asServer(["wal", "prefetch", segments[0] ?? "", path, "--database", "main"]);

      expect(await readdir(setting.path("ahead/pg_wal/ops-spool/fetched"))).toContain(segments[1]);
    } finally {
      await setting.configure();
    }
  });

  it("ends the server where there is no archive at all: a disk may not be mounted", async () => {
    await rename(setting.path("store"), setting.path("unmounted"));
    try {
      const result = await fetch(segments[0] ?? "", setting.path("none"));
      expect(result.exitCode).toBe(255);
      expect(result.stderr).toContain("E_WAL_ARCHIVE");
    } finally {
      await rename(setting.path("unmounted"), setting.path("store"));
    }
  });

  it.each([
    ["a store that is away", "url: file:store", "url: file:opsrc.yaml/x"],
    ["a private key that is another's", "identity: AGE-SECRET-KEY-1", "identity: AGE-SECRET-KEY-2"],
    ["a mistake in the configuration", "databases:", "databasse:"],
  ])("ends the server for %s", async (_what, from, to) => {
    const text = await readFile(setting.config, "utf8");
    await writeFile(setting.config, text.replace(from, to));
    try {
      expect((await fetch(segments[0] ?? "", setting.path("none"))).exitCode).toBe(255);
    } finally {
      await writeFile(setting.config, text);
    }
  });

  it("ends the server for wrong arguments, too", async () => {
    expect((await setting.asServer(["wal", "fetch", "x"])).exitCode).toBe(255);
    expect((await fetch("RECOVERYXLOG", setting.path("none"))).exitCode).toBe(255);
  });

  it("killed at any moment leaves nothing that the next call takes for a segment", async () => {
    await mkdir(setting.path("killed/pg_wal"), { recursive: true });
    await ownedByServer(setting.path("killed"));
    const path = setting.path("killed/pg_wal/RECOVERYXLOG");
    for (const [index, name] of segments.slice(0, 8).entries()) {
      const child = await setting.startAsServer(["wal", "fetch", name, path, "--database", "main"]);
      const closed = new Promise((resolve) => child.once("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, 40 + index * 50));
      child.kill("SIGKILL");
      await closed;
      expect((await fetch(name, path)).exitCode).toBe(0);
      expect((await readFile(path)).equals(await setting.archived(name))).toBe(true);
      await rm(path);
    }
  });
});

async function ownedByServer(folder: string): Promise<void> {
  const { owner } = await serverUser(folder);
  if (owner !== undefined) await runProgram("chown", ["-R", `${owner.uid}:${owner.gid}`, folder]);
}
