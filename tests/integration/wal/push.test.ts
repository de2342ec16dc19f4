import { chown, copyFile, mkdir, readdir, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until, WalSetting } from "./setting.ts";

/** A command that always fails: what is finished waits, and the test calls the command itself. */
const waiting = { archive_command: "/bin/false" };

describe("as the server's archive_command", () => {
  let setting: WalSetting;

  beforeAll(async () => {
    setting = await WalSetting.start({ wal_keep_size: "1GB" });
  });
  afterAll(() => setting.stop());

  it("archives every segment, and the stock tools open it", async () => {
    const names = await setting.fillSegments(3);
    const last = names.at(-1) ?? "";
    await setting.untilArchived(last);

    for (const name of names) expect(await setting.isInStore(name)).toBe(true);
    expect((await setting.archived(last)).equals(await setting.read(last))).toBe(true);
  });

  it("gives up nothing while a store is down, and catches up", async () => {
    const before = await failures(setting);
    await rename(setting.path("store"), setting.path("away"));
    await writeFile(setting.path("store"), "not a folder");
    const names = await setting.fillSegments(4);
    await until(async () => (await failures(setting)) > before, "the archiver to fail");
    for (const name of names) expect(await readdir(dirname(setting.inPgWal(name)))).toContain(name);

    await rename(setting.path("store"), setting.path("broken"));
    await rename(setting.path("away"), setting.path("store"));
    await setting.untilArchived(names.at(-1) ?? "");

    for (const name of names)
      expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
  });

  it("takes the empty folder below a disk that is not mounted for no store", async () => {
    const before = await failures(setting);
    await rename(setting.path("store"), setting.path("away"));
    const { uid, gid } = await stat(setting.path("away"));
    await mkdir(setting.path("store"));
    await chown(setting.path("store"), uid, gid);
    const [name = ""] = await setting.fillSegments(1);
    await until(async () => (await failures(setting)) > before, "the archiver to fail");
    const result = await setting.asServer(["wal", "push", `pg_wal/${name}`, "--database", "main"]);

    expect(result.stderr).toContain("is gone");
    expect(result.stderr).toContain("mount its disk");
    expect(await readdir(setting.path("store"))).toEqual([]);

    await rename(setting.path("store"), setting.path("empty"));
    await rename(setting.path("away"), setting.path("store"));
    await setting.untilArchived(name);
  });

  it("refuses a second cluster in the same place, and leaves the first one's archive alone", async () => {
    const other = await WalSetting.start(waiting);
    try {
      await writeFile(other.config, await configTo(setting, other));
      const [name = ""] = await other.fillSegments(1);
      const before = await readdir(setting.path("store"), { recursive: true });
      const result = await other.asServer(["wal", "push", `pg_wal/${name}`, "--database", "main"]);

      expect(result.exitCode).not.toBe(0);
      expect(result.stderr).toContain("E_WAL_FOREIGN");
      expect(result.stderr).toContain("belongs to another cluster");
      expect(await readdir(setting.path("store"), { recursive: true })).toEqual(before);
    } finally {
      await other.stop();
    }
  });
});

describe("wal push", () => {
  let setting: WalSetting;

  beforeAll(async () => {
    setting = await WalSetting.start(waiting);
  });
  afterAll(() => setting.stop());

  const push = (path: string) => setting.asServer(["wal", "push", path, "--database", "main"]);
  const marks = () => readdir(setting.inPgWal("ops-spool/done"));

  it("archives all that wait with one call; the later calls find them done", async () => {
    const names = await setting.fillSegments(5);
    const [first = "", ...others] = names;
    await expect(push(`pg_wal/${first}`)).resolves.toMatchObject({ exitCode: 0, stdout: "", stderr: "" });

    for (const name of names)
      expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
    expect((await marks()).sort()).toEqual(others);
    for (const name of others)
      await expect(push(`pg_wal/${name}`)).resolves.toMatchObject({ exitCode: 0, stderr: "" });
    expect(await marks()).toEqual([]);
  });

  it("accepts an identical file of the same name and refuses a different one", async () => {
    const [name = ""] = await setting.fillSegments(1);
    expect((await push(`pg_wal/${name}`)).exitCode).toBe(0);
    expect((await push(`pg_wal/${name}`)).exitCode).toBe(0);

    const content = await setting.read(name);
    content.write("different", 100_000);
    await mkdir(setting.path("other/pg_wal"), { recursive: true });
    await copyFile(`${setting.cluster.directory}/PG_VERSION`, setting.path("other/PG_VERSION"));
    await writeFile(setting.path("other/pg_wal", name), content);
    const result = await push(setting.path("other/pg_wal", name));

    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("E_WAL_DIFFERENT");
    expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
  });

  it("succeeds only for what is in every store", async () => {
    await writeFile(setting.path("second"), "not a folder");
    await setting.configure(["store", "second"]);
    const [name = ""] = await setting.fillSegments(1);
    const failed = await push(`pg_wal/${name}`);
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain("E_STORE");

    await rename(setting.path("second"), setting.path("second-broken"));
    await setting.asServerFolder("second");
    await expect(push(`pg_wal/${name}`)).resolves.toMatchObject({ exitCode: 0 });
    expect((await setting.archived(name, "second")).equals(await setting.read(name))).toBe(true);
    await setting.configure();
  });

  it.each([
    ["postgresql.conf", "E_WAL_SEGMENT"],
    ["pg_wal/0000000100000000000000FE", "cannot be read"],
    ["pg_wal/../PG_VERSION", "E_WAL_SEGMENT"],
  ])("refuses %s", async (path, what) => {
    const result = await push(path);

    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toContain(what);
  });

  it("refuses a segment under the name of another one", async () => {
    const [one = "", other = ""] = await setting.fillSegments(2);
    await mkdir(setting.path("moved/pg_wal"), { recursive: true });
    await copyFile(`${setting.cluster.directory}/PG_VERSION`, setting.path("moved/PG_VERSION"));
    await copyFile(setting.inPgWal(one), setting.path("moved/pg_wal", other));
    const result = await push(setting.path("moved/pg_wal", other));

    expect(result).toMatchObject({ exitCode: 1 });
    expect(result.stderr).toContain("which its name does not say");
    expect(await setting.isInStore(other)).toBe(false);
  });

  it("killed at any moment leaves what the next call finishes", async () => {
    const names = await setting.fillSegments(3);
    const [first = ""] = names;
    for (const delay of [60, 150, 200, 250, 300, 350, 400, 500]) {
      const child = await setting.startAsServer(["wal", "push", `pg_wal/${first}`, "--database", "main"]);
      const closed = new Promise((resolve) => child.once("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill("SIGKILL");
      await closed;
    }
    for (const name of names) expect((await push(`pg_wal/${name}`)).exitCode).toBe(0);

    for (const name of names)
      expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
  });
});

async function failures(setting: WalSetting): Promise<number> {
  const [row] = await setting.query<{ count: number }>(
    "SELECT failed_count::int AS count FROM pg_stat_archiver",
  );
  return row?.count ?? 0;
}

/** The second server's configuration, which names the first one's store by mistake. */
async function configTo(first: WalSetting, second: WalSetting): Promise<string> {
  return [
    "databases:",
    `  main: { url: "${second.cluster.url()}", pitr: { store: store } }`,
    "stores:",
    `  store: { url: "file:${first.path("store")}", recipients: [${first.recipient}] }`,
    "",
  ].join("\n");
}
