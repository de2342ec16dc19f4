import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeManifest, encodeManifest, signManifest } from "../../src/archive/manifest.ts";
import { newSigningKey, signerOf } from "../../src/crypto/signature.ts";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";
import { aesKeys, Corruptible, reported, unnoticedCuts, unnoticedFlips } from "./corruption.ts";

const create = operation("backup.create");
const list = operation("backup.list");
const restore = operation("backup.restore");
const verify = operation("backup.verify");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

// The long form, with 1,000 bits, is backup-corruption.faults.ts.
it.each<[string, () => Promise<object | undefined>]>([
  ["an age recipient", async () => undefined],
  ["AES-256-GCM", () => aesKeys(setting)],
])("changed bits and lengths of a backup encrypted with %s are all reported", async (_, keys) => {
  const backup = await Corruptible.make(setting, undefined, await keys());

  expect(await unnoticedFlips(backup, backup.places(30, 4))).toEqual([]);
  expect(await unnoticedCuts(backup, backup.places(12, 2))).toEqual([]);
});

describe("objects in each other's place", () => {
  it("are reported, of the same backup and of another one for the same recipient", async () => {
    const backup = await Corruptible.make(setting);
    // The same rows again: names, sizes and keys' owners are the same, and only the data keys differ.
    await perform(create, backup.context, { jobs: 2, "split-from": "1B" });
    const files = await filesIn(backup.directory);
    const others = [...files].filter(([path]) => !path.includes(backup.id));
    expect(others.length).toBe(6);
    for (const { name } of backup.manifest.objects) {
      const end = name.slice(name.indexOf("/"));
      const [, bytes] = others.find(([path]) => path.endsWith(end)) ?? [];
      await backup.withBytes(name, bytes ?? Buffer.alloc(0), async () => {
        expect(await reported(backup.verify("objects"), backup.id), name).toBeUndefined();
        expect(await reported(backup.verify("decrypt"), backup.id), name).toBeUndefined();
        if (!/table|dump/.test(name)) return;
        for (const jobs of [1, 2]) {
          const attempt = perform(restore, backup.context, { backup: backup.id, into: "swapped", jobs });
          expect(await reported(attempt, backup.id), name).toBeUndefined();
        }
      });
    }
    const [one = "", other = ""] = backup.manifest.objects
      .filter((each) => each.content === "table")
      .map((each) => each.name);
    await backup.withBytes(one, backup.bytesOf(other), () =>
      backup.withBytes(other, backup.bytesOf(one), async () => {
        expect(await reported(backup.verify("objects"), backup.id)).toBeUndefined();
        expect(await reported(backup.verify("decrypt"), backup.id)).toBeUndefined();
      }),
    );
    expect((await setting.databases()).filter((name) => /swapped|ops_restore/.test(name))).toEqual([]);
    await backup.verify("decrypt");
  });
});

describe("a manifest that is not the one that was signed", () => {
  it("is refused by everything that reads backups: unsigned, signed by another, of another backup, altered", async () => {
    const own = newSigningKey();
    const foreign = newSigningKey();
    const { settings, store, directory } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x");
    const key = join(setting.folder, "signing-key");
    await writeFile(key, own.privateKey, { mode: 0o600 });
    const signed = { ...store, "signing-key": `file:${key}`, "trusted-signers": [own.publicKey] };
    const context = testContext({ ...settings, stores: { local: signed } });
    const ids: string[] = [];
    for (let count = 0; count < 2; count += 1)
      ids.push(((await perform(create, context, {})).output as { id: string }).id);
    const [id = "", other = ""] = ids;
    const path = join(directory, id, "manifest.json");
    const original = await readFile(path);
    const manifest = decodeManifest(original)?.manifest;
    if (manifest === undefined) throw new Error("the manifest cannot be read");
    await perform(verify, context, { backup: id });

    const altered = { ...manifest, environment: "staging" };
    const forgeries: [string, Uint8Array][] = [
      ["unsigned", encodeManifest(manifest)],
      [
        "signed by another key",
        encodeManifest(manifest, signManifest(manifest, signerOf(foreign.privateKey))),
      ],
      ["of another backup", await readFile(join(directory, other, "manifest.json"))],
      [
        "altered under its signature",
        encodeManifest(altered, signManifest(manifest, signerOf(own.privateKey))),
      ],
      [
        "altered, signed by another in the name of the trusted one",
        encodeManifest(altered, {
          ...signManifest(altered, signerOf(foreign.privateKey)),
          key: own.publicKey,
        }),
      ],
    ];
    for (const [how, bytes] of forgeries) {
      await writeFile(path, bytes);
      const { output } = await perform(list, context, {});
      expect((output as { backups: object[] }).backups, how).toContainEqual(
        expect.objectContaining({ id, status: "broken" }),
      );
      for (const level of ["objects", "decrypt", "drill"])
        expect(await reported(perform(verify, context, { backup: id, level }), id), how).toBeUndefined();
      const attempt = perform(restore, context, { backup: id, into: "forged" });
      expect(await reported(attempt, id), how).toBeUndefined();
    }
    expect(await setting.databases()).not.toContain("forged");
    await writeFile(path, original);
    await perform(verify, context, { backup: id });
  });
});
