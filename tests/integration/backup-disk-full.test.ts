import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

let setting: BackupSetting;
let disk: string;
/** What was mounted. */
const disks: string[] = [];
beforeAll(async () => {
  setting = await BackupSetting.start();
  disk = await smallDisk("disk", "1m");
});
afterAll(async () => {
  for (const each of disks) execFileSync("umount", [each]);
  await setting.stop();
});

/** Needs root: a file system of its own is what makes a full disk real. */
async function smallDisk(name: string, size: string): Promise<string> {
  const folder = join(setting.folder, name);
  await mkdir(folder);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder]);
  disks.push(folder);
  return folder;
}

it("a backup onto a full disk fails with a clear error, is not listed and leaves nothing", async () => {
  const { settings, store } = await setting.prepare(
    "CREATE TABLE noise AS SELECT md5(random()::text) || md5(random()::text) AS n FROM generate_series(1, 100000)",
  );
  const context = testContext({ ...settings, stores: { local: { ...store, url: `file:${disk}` } } });

  await expect(perform(operation("backup.create"), context, {})).rejects.toMatchObject({
    code: "E_STORE_FULL",
    exitCode: 1,
    hint: expect.stringContaining("free some space"),
  });

  expect((await perform(operation("backup.list"), context, {})).output).toMatchObject({ backups: [] });
  expect((await filesIn(disk)).size).toBe(0);
});

it("a drill whose machine has no space for it is no verdict on the backup: nothing is recorded", async () => {
  // Small as a backup and large as a database.
  const { settings, directory } = await setting.prepare(`
    CREATE TABLE wide (filler text); ALTER TABLE wide ALTER filler SET STORAGE PLAIN;
    INSERT INTO wide SELECT repeat('x', 7000) FROM generate_series(1, 12000);`);
  await perform(operation("backup.create"), testContext(settings), {});
  const small = await smallDisk("drills", "110m");
  const context = testContext(settings, { directory: small });

  await expect(perform(operation("backup.verify"), context, { level: "drill" })).rejects.toMatchObject({
    code: "E_DRILL_NOT_HELD",
    cause: expect.objectContaining({ message: expect.stringMatching(/No space left|closed the connection/) }),
    hint: expect.stringContaining(join(small, ".ops", "drills")),
  });

  expect([...(await filesIn(directory)).keys()].filter((each) => each.includes("/drills/"))).toEqual([]);
});
