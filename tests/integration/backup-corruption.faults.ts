import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";
import { aesKeys, Corruptible, reported, unnoticedCuts, unnoticedFlips } from "./corruption.ts";

const restore = operation("backup.restore");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

describe.each<[string, () => Promise<object | undefined>, number]>([
  ["an age recipient", async () => undefined, 1000],
  ["AES-256-GCM", () => aesKeys(setting), 150],
])("a backup encrypted with %s", (_, keys, flips) => {
  let backup: Corruptible;
  beforeAll(async () => {
    backup = await Corruptible.make(setting, undefined, await keys());
    expect(backup.originals.size).toBe(6);
  });

  it("has no bit whose change is not reported, and no altered byte is handed on", async () => {
    const places = backup.places(flips, 40);
    expect(places.length).toBeGreaterThanOrEqual(flips);

    expect(await unnoticedFlips(backup, places)).toEqual([]);

    await backup.verify("decrypt");
  });

  it("is not restored with any of them, in one job or several", async () => {
    const places = backup.places(24, 4).filter((each) => !/globals|contents/.test(each.object));
    const unnoticed: string[] = [];
    for (const [index, place] of places.entries()) {
      await backup.withFlippedBit(place, async () => {
        const attempt = perform(restore, backup.context, { into: "damaged", jobs: 1 + (index % 2) });
        const why = await reported(attempt, backup.id);
        if (why !== undefined) unnoticed.push(`${place.object} at ${place.position}: ${why}`);
      });
    }

    expect(unnoticed).toEqual([]);
    expect((await setting.databases()).filter((name) => /damaged|ops_restore/.test(name))).toEqual([]);
  });

  it("has no length but its own", async () => {
    expect(await unnoticedCuts(backup, backup.places(100, 10))).toEqual([]);
  });
});
