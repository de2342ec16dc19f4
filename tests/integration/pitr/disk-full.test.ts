import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { RecordingReport } from "../../support/context.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

let setting: PitrSetting;
let disk: string;
let segment: string;
const mounted: string[] = [];

beforeAll(async () => {
  setting = await PitrSetting.start({ wal_keep_size: "256MB" });
  await setting.wal.query("CREATE TABLE ledger AS SELECT generate_series(1, 1000) AS n");
  await setting.base();
  [segment = ""] = await setting.wal.fillSegments(1);
  await setting.wal.untilArchived(segment);
  disk = setting.wal.path("disk");
  await mkdir(disk);
  // Needs root: a file system of its own is what makes a full disk real.
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m,mode=755", "tmpfs", disk]);
  mounted.push(disk);
});
afterAll(async () => {
  for (const each of mounted) execFileSync("umount", [each]);
  await setting?.stop();
});

const resized = (size: string) => execFileSync("mount", ["-o", `remount,size=${size}`, disk]);

describe("a full disk under the folder of a restore", () => {
  it("is told while it is unpacked; with more room the restore goes on, and undo leaves nothing", async () => {
    const chosen = operation("pitr.restore");
    const target = join(disk, "restored");
    const input = chosen.input.parse({ "target-dir": target, latest: true, start: true });
    const before = await chosen.observe(setting.context(), input);
    const report = new RecordingReport();

    await expect(chosen.apply(setting.context(), input, before, report)).rejects.toMatchObject({
      code: "E_DISK_SPACE",
      message: expect.stringContaining(target),
      hint: expect.stringContaining("ops runs resume"),
    });

    resized("400m");
    const { port } = (await chosen.apply(setting.context(), input, before, report)) as Restored;
    expect(await queryPort(port, "SELECT count(*)::int AS n FROM ledger")).toEqual([{ n: 1000 }]);
    await stopCluster(target);
    expect(await chosen.undo?.(setting.context(), input, before, report)).toMatchObject({ undone: true });
    expect(await readdir(disk)).toEqual([]);
    resized("20m");
  });
});

describe("a full disk under pg_wal", () => {
  /** A data folder with one segment, on a disk without a byte free. */
  beforeAll(async () => {
    const folder = join(disk, "data/pg_wal");
    await mkdir(folder, { recursive: true });
    await copyFile(join(setting.wal.cluster.directory, "PG_VERSION"), join(disk, "data/PG_VERSION"));
    await copyFile(setting.wal.inPgWal(segment), join(folder, segment));
    const { owner } = await serverUser(folder);
    if (owner !== undefined) execFileSync("chown", ["-R", `${owner.uid}:${owner.gid}`, join(disk, "data")]);
    await writeFile(join(disk, "filler"), Buffer.alloc(20 * 2 ** 20)).catch(() => undefined);
  });

  it("does not keep the archiver from archiving", async () => {
    const name = setting.wal.path("store/pitr/main");
    await rm(join(name, "wal/00000001", `${segment}.zst.age`));
    const result = await setting.wal.asServer([
      "wal",
      "push",
      join(disk, "data/pg_wal", segment),
      "--database",
      "main",
    ]);

    expect(result).toMatchObject({ exitCode: 0 });
    expect(result.stderr).toContain("nothing is archived ahead of the server");
    expect((await setting.wal.archived(segment)).equals(await setting.wal.read(segment))).toBe(true);
  });

  it("ends a recovering server with the reason, leaves nothing half there, and is over with the disk", async () => {
    const path = join(disk, "data/pg_wal/RECOVERYXLOG");
    const fetch = () => setting.wal.asServer(["wal", "fetch", segment, path, "--database", "main"]);
    const failed = await fetch();

    expect(failed.exitCode).toBe(255);
    expect(failed.stderr).toContain("E_DISK_SPACE");
    expect((await readdir(join(disk, "data/pg_wal"))).filter((each) => each !== "ops-spool")).toEqual([
      segment,
    ]);

    resized("100m");
    expect(await fetch()).toMatchObject({ exitCode: 0 });
    expect((await readFile(path)).equals(await setting.wal.archived(segment))).toBe(true);
  });
});
