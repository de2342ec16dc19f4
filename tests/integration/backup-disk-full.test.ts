import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

let setting: BackupSetting;
let disk: string;
let mounted: "mounted" | "not mounted" = "not mounted";
beforeAll(async () => {
  setting = await BackupSetting.start();
  disk = join(setting.folder, "disk");
  await mkdir(disk);
  // Needs root: a file system of its own is what makes a full disk real.
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
  mounted = "mounted";
});
afterAll(async () => {
  if (mounted === "mounted") execFileSync("umount", [disk]);
  await setting.stop();
});

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
