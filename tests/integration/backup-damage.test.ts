import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, operation, sampleSchema } from "./backup-setting.ts";

const create = operation("backup.create");
const list = operation("backup.list");
const restore = operation("backup.restore");
const verify = operation("backup.verify");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

async function backup(sql = sampleSchema) {
  const prepared = await setting.prepare(sql);
  const context = testContext(prepared.settings);
  const { id } = (await perform(create, context, {})).output as { id: string };
  const file = (name: string) => join(prepared.directory, id, name);
  return { ...prepared, context, id, dump: file("dump.zst.age"), manifest: file("manifest.json") };
}

async function flipBit(path: string, position: number): Promise<() => Promise<void>> {
  const original = await readFile(path);
  const altered = Buffer.from(original);
  altered.writeUInt8(altered.readUInt8(position) ^ (1 << (position % 8)), position);
  await writeFile(path, altered);
  return () => writeFile(path, original);
}

function positions(length: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.floor((index * (length - 1)) / (count - 1)));
}

describe("backup.verify", () => {
  it("reports one changed bit, wherever it is in the dump or the manifest", async () => {
    const { context, id, dump, manifest } = await backup();
    for (const [path, object] of [
      [dump, "dump.zst.age"],
      [manifest, "manifest.json"],
    ] as const) {
      for (const position of positions((await readFile(path)).length, 60)) {
        const mend = await flipBit(path, position);
        await expect(
          perform(verify, context, { backup: id }),
          `a bit at ${position} of ${object}`,
        ).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT", details: { id, object: `${id}/${object}` } });
        await mend();
      }
    }
    expect((await perform(verify, context, { backup: id })).output).toMatchObject({ verdict: "pass" });
  }, 120_000);

  it("reports every byte of the manifest that changed, in `latest` too", async () => {
    const { context, manifest } = await backup("CREATE TABLE t (x int)");
    for (let position = 0; position < (await readFile(manifest)).length; position += 1) {
      const mend = await flipBit(manifest, position);
      await expect(perform(verify, context, {})).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
      await mend();
    }
  });

  it("reports a dump that is too short, too long or missing", async () => {
    const { context, dump, id } = await backup();
    const original = await readFile(dump);

    await truncate(dump, original.length - 1000);
    await expect(perform(verify, context, {})).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
      message: expect.stringContaining(`${id}/dump.zst.age has ${original.length - 1000} bytes instead of`),
    });
    await writeFile(dump, Buffer.concat([original, Buffer.from("x")]));
    await expect(perform(verify, context, {})).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
    await rm(dump);
    await expect(perform(verify, context, {})).rejects.toThrow("is missing");
  });

  it("reports two dumps that were swapped", async () => {
    const one = await backup("CREATE TABLE t AS SELECT 1 AS x");
    const other = await backup("CREATE TABLE t AS SELECT 2 AS x");
    await writeFile(one.dump, await readFile(other.dump));

    await expect(perform(verify, one.context, {})).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
  });
});

describe("backup.list", () => {
  it("shows a broken manifest as broken, beside the good ones", async () => {
    const { context, manifest, id } = await backup("CREATE TABLE t (x int)");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await perform(create, context, {});
    await writeFile(manifest, "{ not json");

    const { output } = await perform(list, context, { database: "main" });

    expect((output as { backups: object[] }).backups).toMatchObject([
      { status: "complete" },
      { id, status: "broken", reason: `${id}/manifest.json is not the manifest that was written` },
    ]);
    expect(list.render?.(output)).toContain("BROKEN");
  });
});

describe("backup.restore", () => {
  it("of a damaged dump fails and leaves no database, half restored or whole", async () => {
    const { context, dump } = await backup(
      "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 100000) i",
    );
    const length = (await readFile(dump)).length;
    for (const position of positions(length, 5)) {
      const mend = await flipBit(dump, position);
      await expect(perform(restore, context, { into: "damaged" })).rejects.toMatchObject({
        code: "E_BACKUP_CORRUPT",
      });
      await mend();
    }
    expect((await setting.databases()).filter((name) => /damaged|ops_restore/.test(name))).toEqual([]);
  });
});
