import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Cluster, postmasterPid, startCluster, stopCluster } from "../../../src/postgres/cluster.ts";

describe("a throw-away cluster", () => {
  let folder: string;
  let cluster: Cluster | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops-pg-"));
  });

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  async function setting(name: string): Promise<unknown> {
    const client = new pg.Client(cluster?.url());
    await client.connect();
    try {
      const { rows } = await client.query("SELECT current_setting($1) AS value", [name]);
      return rows[0]?.value;
    } finally {
      await client.end();
    }
  }

  it("is not taken for the server of another folder whose last process had its number", async () => {
    cluster = await startCluster({ directory: join(folder, "data") });
    const other = join(folder, "other");
    await mkdir(other);
    await writeFile(join(other, "postmaster.pid"), `${cluster.pid}\n${other}\n`);

    expect(await postmasterPid(other)).toBeUndefined();
    await stopCluster(other);
    expect(await postmasterPid(join(folder, "data"))).toBe(cluster.pid);
  });

  it("has data checksums, replica WAL and listens on the loopback address only", async () => {
    cluster = await startCluster({ directory: join(folder, "data") });

    expect(await setting("data_checksums")).toBe("on");
    expect(await setting("wal_level")).toBe("replica");
    expect(await setting("listen_addresses")).toBe("127.0.0.1");
    expect(await setting("unix_socket_directories")).toBe("");
  });

  it("takes the caller's settings over its own, odd characters included", async () => {
    cluster = await startCluster({
      directory: join(folder, "data"),
      settings: {
        wal_level: "logical",
        archive_mode: "on",
        archive_command: "cp '%p' \"/x y/%f\" || exit $?",
      },
    });

    expect(await setting("wal_level")).toBe("logical");
    expect(await setting("archive_command")).toBe("cp '%p' \"/x y/%f\" || exit $?");
  });

  it("starts again on its data after a crash", async () => {
    cluster = await startCluster({ directory: join(folder, "data") });
    await cluster.kill();
    expect(await postmasterPid(cluster.directory)).toBeUndefined();

    cluster = await startCluster({ directory: join(folder, "data") });

    expect(await setting("data_checksums")).toBe("on");
  });

  it("works below a folder that only its owner may enter", async () => {
    expect((await stat(folder)).mode & 0o077).toBe(0);

    cluster = await startCluster({ directory: join(folder, "data") });

    expect(await setting("wal_level")).toBe("replica");
  });

  it("names the log and the reason where the server does not start", async () => {
    const started = startCluster({ directory: join(folder, "data"), settings: { wal_level: "nonsense" } });

    await expect(started).rejects.toMatchObject({
      code: "E_CLUSTER_START",
      hint: `look at ${join(folder, "data.log")}`,
    });
  });

  it("refuses a port that is taken when the caller names it", async () => {
    cluster = await startCluster({ directory: join(folder, "data") });

    const second = startCluster({ directory: join(folder, "other"), port: cluster.port });

    await expect(second).rejects.toMatchObject({ code: "E_CLUSTER_START" });
  });
});
