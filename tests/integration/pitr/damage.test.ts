import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

let setting: PitrSetting;
let base: string;
let segment: string;

/** A base backup with a tablespace and a segment behind it, in two stores. */
beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.asServerFolder("second");
  await setting.wal.configure(["store", "second"]);
  // As in the first store, the server's user makes the folders.
  const [first = ""] = await setting.wal.fillSegments(1);
  await until(() => setting.wal.isInStore(first, "second"), "the first segment");
  const folder = await setting.tablespaceFolder("apart");
  await setting.wal.query(`CREATE TABLESPACE apart LOCATION '${folder}'`);
  await setting.wal.query("CREATE TABLE ledger TABLESPACE apart AS SELECT generate_series(1, 20000) AS n");
  const { output } = await perform(operation("pitr.base.create"), context(), {});
  base = (output as { id: string }).id;
  await setting.wal.query("INSERT INTO ledger VALUES (20001)");
  [segment = ""] = await setting.wal.fillSegments(1);
  for (const each of ["store", "second"])
    await until(() => setting.wal.isInStore(segment, each), "the last segment");
}, 120_000);
afterAll(() => setting.stop());

const context = () => setting.context(setting.settingsOf(["store", "second"]));
const both = (input: object, folder = setting.newFolder()) =>
  perform(operation("pitr.restore"), context(), { "target-dir": folder, latest: true, ...input });

const baseObject = async (pattern: RegExp, store: string) => {
  const folder = setting.wal.path(store, "pitr/main/base", base);
  const name = (await readdir(folder)).find((each) => pattern.test(each));
  return join(folder, name ?? "");
};
const walObject = (store: string) => setting.wal.path(store, "pitr/main/wal/00000001", `${segment}.zst.age`);

const changed = async (path: string) => {
  const content = await readFile(path);
  content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
  await writeFile(path, content);
};
const shortened = async (path: string) => {
  const content = await readFile(path);
  await writeFile(path, content.subarray(0, content.length >> 1));
};
const missing = (path: string) => rm(path);

const damages: [string, (store: string) => Promise<string>, (path: string) => Promise<void>][] = [
  ["a changed byte of the data folder", (store) => baseObject(/^base\.tar/, store), changed],
  ["half of the data folder", (store) => baseObject(/^base\.tar/, store), shortened],
  ["no data folder", (store) => baseObject(/^base\.tar/, store), missing],
  ["a changed byte of a tablespace", (store) => baseObject(/^tablespace-/, store), changed],
  ["a changed byte of PostgreSQL's manifest", (store) => baseObject(/^backup_manifest/, store), changed],
  ["a changed byte of the manifest", (store) => baseObject(/^manifest\.json/, store), changed],
  ["no manifest", (store) => baseObject(/^manifest\.json/, store), missing],
];

describe.each(damages)("%s", (_what, place, damage) => {
  it("in one store is made good by the other; in both it is told, and what was begun is removed", async () => {
    const [first, second] = [await place("store"), await place("second")];
    const whole = await readFile(first);
    try {
      await damage(first);
      const restored = await both({});
      expect(restored.output).toMatchObject({ base, state: "prepared" });
      expect(await restored.undo()).toMatchObject({ undone: true });

      await damage(second);
      const folder = setting.newFolder();
      await expect(both({}, folder)).rejects.toMatchObject({
        code: expect.stringMatching(/^E_BACKUP_(CORRUPT|MISSING)$/),
      });
      // A fault that shows only while it is unpacked is found behind the first bytes: a run would take them back.
      const left = (await readdir(setting.wal.folder)).filter((each) => setting.wal.path(each) === folder);
      expect(left.length).toBeLessThanOrEqual(1);
    } finally {
      await writeFile(first, whole);
      await writeFile(second, whole);
    }
  });
});

describe("a store that is away", () => {
  it("is left out and named, and the other one has all", async () => {
    await rename(setting.wal.path("store"), setting.wal.path("away"));
    await writeFile(setting.wal.path("store"), "not a folder");
    try {
      const chosen = operation("pitr.restore");
      const input = chosen.input.parse({ "target-dir": setting.newFolder(), latest: true });
      const before = await chosen.observe(context(), input);
      expect(chosen.notes?.(before, input)).toEqual([expect.stringContaining("store store cannot be read")]);

      await expect(both({ store: "store" })).rejects.toMatchObject({
        code: expect.stringMatching(/^E_STORE/),
      });
      const { output } = await both({ start: true });
      expect(await rowsOf(output as Restored)).toBe(20_001);
    } finally {
      await rm(setting.wal.path("store"));
      await rename(setting.wal.path("away"), setting.wal.path("store"));
    }
  });
});

describe("a segment", () => {
  it.each([
    ["damaged", changed],
    ["missing", missing],
  ])("that is %s in one store comes from the other", async (_what, damage) => {
    const whole = await readFile(walObject("store"));
    await damage(walObject("store"));
    try {
      const { output } = await both({ start: true });
      expect(await rowsOf(output as Restored)).toBe(20_001);
    } finally {
      await writeFile(walObject("store"), whole);
    }
  });

  it("that is damaged in both ends the restore with its name, and a mended store lets it go on", async () => {
    const whole = await readFile(walObject("store"));
    const other = await readFile(walObject("second"));
    const chosen = operation("pitr.restore");
    const input = chosen.input.parse({ "target-dir": setting.newFolder(), latest: true, start: true });
    const before = await chosen.observe(context(), input);
    let last: unknown;
    const report = {
      progress: () => undefined,
      log: () => undefined,
      checkpoint: async (data: unknown) => {
        last = data;
      },
      get last() {
        return last as never;
      },
    };
    await changed(walObject("store"));
    await changed(walObject("second"));
    await expect(chosen.apply(context(), input, before, report)).rejects.toMatchObject({
      code: "E_REPLAY",
      cause: expect.objectContaining({ message: expect.stringContaining("E_WAL_CORRUPT") }),
    });

    await writeFile(walObject("store"), whole);
    await writeFile(walObject("second"), other);
    const output = await chosen.apply(context(), input, before, report);
    expect(await rowsOf(output as Restored)).toBe(20_001);
  });
});

async function rowsOf({ port, directory }: Restored): Promise<number> {
  const [row] = await queryPort<{ count: number }>(port, "SELECT count(*)::int FROM ledger");
  await stopCluster(directory);
  return row?.count ?? 0;
}
