import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const verify = operation("backup.verify");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

it("a resumed backup takes nothing into a copy that an attempt before it has left there", async () => {
  const { settings, store, directory } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x");
  const offsite = join(setting.folder, "offsite");
  const stores = { ...settings.stores, offsite: { ...store, url: `file:${offsite}` } };
  const context = testContext({ ...settings, stores });
  const input = create.input.parse({ stores: ["local", "offsite"] });
  const before = await create.observe(context, input);
  await create.apply(context, input, before, new RecordingReport());
  // The first attempt: all objects in the second store, encrypted with data keys that nobody has any more.
  const remains = await filesIn(offsite);
  for (const folder of [directory, offsite]) await rm(folder, { recursive: true });
  // The second one: the second store could not be reached.
  const first = create.input.parse({ stores: ["local"] });
  await create.apply(context, first, before, new RecordingReport());
  for (const [path, bytes] of remains) {
    if (path.endsWith("manifest.json")) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }

  await create.apply(context, input, before, new RecordingReport());

  const { id } = before as { id: string };
  for (const name of ["local", "offsite"])
    expect((await perform(verify, context, { backup: id, store: name })).output).toMatchObject({
      verdict: "pass",
    });
  for (const [path, bytes] of await filesIn(offsite))
    expect((await readFile(join(directory, relative(offsite, path)))).equals(bytes)).toBe(true);
});
