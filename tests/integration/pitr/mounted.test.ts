import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { RestoreFolder } from "../../../src/pitr/restore-folder.ts";

it("a folder that a disk is mounted on is emptied by a roll-back, and stays", async () => {
  const parent = await mkdtemp(join(tmpdir(), "ops-mounted-"));
  const directory = join(parent, "disk");
  await mkdir(directory);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]);
  try {
    const folder = new RestoreFolder(directory, `${directory}.tablespaces`, "mine");
    await folder.requireEmpty();
    await folder.claim({ owner: undefined, prefix: [] });
    await mkdir(join(directory, "base"));
    await writeFile(join(directory, "base", "1"), "1");

    await folder.remove();

    expect(await readdir(directory)).toEqual([]);
    expect(await readdir(parent)).toEqual(["disk"]);
  } finally {
    execFileSync("umount", [directory]);
    await rm(parent, { recursive: true });
  }
});
