import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { FileStore } from "../../../src/storage/file-store.ts";
import { describeObjectStore } from "./object-store-contract.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ops-st-"));
  folders.push(folder);
  return folder;
}

describeObjectStore("file", async () => new FileStore(join(await emptyFolder(), "made", "when needed")));

describe("the file store", () => {
  async function* some(size: number): AsyncGenerator<Uint8Array> {
    yield randomBytes(size);
  }

  it("has files and folders that only their owner reads", async () => {
    const folder = join(await emptyFolder(), "store");

    await new FileStore(folder).put("a/data", some(10));

    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, "a", "data"))).mode & 0o777).toBe(0o600);
  });

  it("neither lists nor keeps the half-written file of a writer that was killed", async () => {
    const folder = await emptyFolder();
    const store = new FileStore(folder);
    await store.put("a/other", some(10));
    await writeFile(join(folder, "a", "data.partial"), "half");

    expect(await listed(store)).toEqual(["a/other"]);
    await store.put("a/data", some(20));

    expect((await readdir(join(folder, "a"))).sort()).toEqual(["data", "other"]);
  });

  it("removes the folder of the last object that is deleted, and the half-written file in it", async () => {
    const folder = await emptyFolder();
    const store = new FileStore(folder);
    await store.put("a/data", some(10));
    await writeFile(join(folder, "a", "data.partial"), "half");

    await store.delete("a/data");

    expect(await readdir(folder)).toEqual([]);
  });

  it("lists everything else while another process removes folders", async () => {
    const folder = await emptyFolder();
    const store = new FileStore(folder);
    await store.put("z/kept", some(10));
    for (let each = 0; each < 300; each += 1) await mkdir(join(folder, `a${each}`));
    let removed = false;
    const removal = (async () => {
      for (let each = 0; each < 300; each += 1) await rm(join(folder, `a${each}`), { recursive: true });
      removed = true;
    })();

    while (!removed) expect(await listed(store)).toEqual(["z/kept"]);
    await removal;
  });

  it("looks at its own folders only: a mounted disk has folders that nobody may read", async () => {
    const folder = await emptyFolder();
    const store = new FileStore(folder);
    await store.put("a/data", some(10));
    await mkdir(join(folder, "lost+found"));
    await writeFile(join(folder, "lost+found", "data"), "");
    await mkdir(join(folder, ".snapshot"));
    await writeFile(join(folder, ".snapshot", "data"), "");

    expect(await listed(store)).toEqual(["a/data"]);
  });

  it("keeps the object that one of two writers has finished where the other one fails", async () => {
    const store = new FileStore(await emptyFolder());
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(5);
      await store.put("a/data", some(10));
      throw new Error("its source is gone");
    }

    await expect(store.put("a/data", failing())).rejects.toThrow("its source is gone");

    expect(await listed(store)).toEqual(["a/data"]);
  });

  it("says which store it is when its folder is no folder", async () => {
    const file = join(await emptyFolder(), "file");
    await writeFile(file, "");

    await expect(new FileStore(file).put("a/data", some(1))).rejects.toMatchObject({
      code: "E_STORE",
      message: expect.stringContaining(file),
    });
  });
});

async function listed(store: FileStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list("")) names.push(name);
  return names;
}
