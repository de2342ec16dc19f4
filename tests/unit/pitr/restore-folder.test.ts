import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RestoreFolder } from "../../../src/pitr/restore-folder.ts";

const user = { owner: undefined, prefix: [] };
let parent: string;
let directory: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "ops-folder-"));
  directory = join(parent, "restored");
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const folder = (token = "mine") => new RestoreFolder(directory, `${directory}.tablespaces`, token);

describe("the folder of a restore", () => {
  it("is claimed once, by a mark that is whole", async () => {
    await folder().claim(user);
    await folder().claim(user);

    expect(await readFile(`${directory}.ops-restore`, "utf8")).toBe("mine\n");
    expect((await readdir(parent)).sort()).toEqual(["restored", "restored.ops-restore"]);
    await expect(folder("other").claim(user)).rejects.toMatchObject({
      code: "E_RESTORE_FOLDER",
      message: expect.stringContaining("restored.ops-restore is there"),
    });
  });

  it("is claimed again where the first attempt was killed before its mark had a name", async () => {
    await writeFile(`${directory}.ops-restore.mine`, "");

    await folder().claim(user);

    expect(await folder().isOurs()).toBe(true);
    expect(await readdir(parent)).not.toContain("restored.ops-restore.mine");
  });

  it("is refused where the file of its server's log is somebody else's, which stays", async () => {
    await writeFile(`${directory}.log`, "theirs");

    await expect(folder().requireEmpty()).rejects.toMatchObject({ code: "E_RESTORE_FOLDER", exitCode: 2 });
    expect(await readFile(`${directory}.log`, "utf8")).toBe("theirs");
  });

  it.each(["", "/tablespaces", "/.."])("is refused where tablespaces would go to %j of it", async (where) => {
    await mkdir(directory);
    const nested = new RestoreFolder(directory, join(directory, where), "mine");

    await expect(nested.requireEmpty()).rejects.toMatchObject({
      code: "E_RESTORE_FOLDER",
      message: expect.stringContaining("are not apart"),
    });
  });

  it("that cannot be made is an error with a way out", async () => {
    await writeFile(directory, "a file");
    const below = new RestoreFolder(join(directory, "data"), join(directory, "tablespaces"), "mine");

    await expect(below.claim(user)).rejects.toMatchObject({
      code: "E_RESTORE_FOLDER",
      hint: expect.stringContaining("--target-dir"),
    });
  });
});
