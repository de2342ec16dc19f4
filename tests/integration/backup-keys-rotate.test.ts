import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, describe, expect, it } from "vitest";
import { findBackup } from "../../src/archive/catalog.ts";
import type { Manifest } from "../../src/archive/manifest.ts";
import { readPlain } from "../../src/archive/read-object.ts";
import type { RewrappedObject } from "../../src/archive/rewrap.ts";
import { hold } from "../../src/backup/hold.ts";
import { listKeys } from "../../src/backup/keys-list.ts";
import { rotateKeys } from "../../src/backup/keys-rotate.ts";
import { type RotationResult, rotateBackup, signingOf } from "../../src/backup/rotate-backup.ts";
import { openerFor, sealerFor } from "../../src/crypto/encryption.ts";
import { newSigningKey, signerOf } from "../../src/crypto/signature.ts";
import { FileStore } from "../../src/storage/file-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { sealBackup } from "../support/sealed-backups.ts";
import { collect } from "../support/streams.ts";

const folder = mkdtempSync(join(tmpdir(), "ops-rotate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const contents = { main: randomBytes(150_000), table: randomBytes(80_000) };
/** Takes long enough to be killed in the middle. */
const large = { main: randomBytes(10_000_000), table: randomBytes(100_000) };

async function keyPair() {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}
const [former, present] = [await keyPair(), await keyPair()];

let stores = 0;
/** A store with its backups encrypted to the former key, and contexts that see it with the former and the present one. */
async function prepare(backups: number, extra: object = {}, signingKey?: string, plain = contents) {
  stores += 1;
  const url = `file:${join(folder, `store${stores}`)}`;
  const store = new FileStore(join(folder, `store${stores}`));
  const settings = (recipients: string[], identity: string, more: object) => ({
    stores: { local: { url, recipients, identity, ...more } },
  });
  const before = testContext(settings([former.recipient], former.identity, {}), { directory: folder });
  const settingsAfter = settings([present.recipient], `${former.identity}\n${present.identity}`, extra);
  const after = testContext(settingsAfter, { directory: folder });
  const onlyPresent = testContext(settings([present.recipient], present.identity, {}), { directory: folder });
  const sealer = await sealerFor(before.environment.store());
  const signer = signingKey === undefined ? undefined : signerOf(signingKey);
  const manifests: Manifest[] = [];
  for (let index = 0; index < backups; index += 1)
    manifests.push(await sealBackup(store, sealer, plain, signer));
  const directory = join(folder, `store${stores}`);
  return { store, before, after, settings: settingsAfter, onlyPresent, manifests, directory };
}
type Prepared = Awaited<ReturnType<typeof prepare>>;

/** Reads the whole backup with the keys of the context, each byte compared. */
async function expectReadable(
  store: ObjectStore,
  id: string,
  context: Prepared["before"],
  wanted = contents,
): Promise<Manifest> {
  const { manifest } = await findBackup(store, [], id, () => ({ environment: "test", database: "main" }));
  const opener = await openerFor(context.environment.store());
  for (const object of manifest.objects) {
    const plain = await collect(readPlain({ store, manifest, opener, signed: false }, object));
    expect(plain.equals(object.content === "main" ? wanted.main : wanted.table)).toBe(true);
  }
  return manifest;
}

function rejection(work: Promise<unknown>): Promise<{ code: string }> {
  return work.then(
    () => {
      throw new Error("it was not refused");
    },
    (error) => error,
  );
}

describe("backup keys rotate", () => {
  it("encrypts every backup to the keys that are configured now, and leaves nothing of before", async () => {
    const { store, before, after, onlyPresent, manifests, directory } = await prepare(3);

    const { output, changes } = await perform(rotateKeys, after, {});

    expect(changes).toHaveLength(3);
    expect(output).toMatchObject({
      rotated: manifests.map((each) => each.id).reverse(),
      left: [],
      locked: [],
    });
    for (const { id, objects } of manifests) {
      const renewed = await expectReadable(store, id, onlyPresent);
      expect((await rejection(expectReadable(store, id, before))).code).toBe("E_IDENTITY");
      expect(readdirSync(join(directory, id)).sort()).toEqual(
        ["manifest.json", ...renewed.objects.map((each) => each.name.slice(id.length + 1))].sort(),
      );
      expect(renewed.objects.map((each) => each.plainBytes)).toEqual(objects.map((each) => each.plainBytes));
    }
    expect((await perform(rotateKeys, after, {})).changes).toEqual([]);
  });

  it("works again, with --all, on what names the keys already", async () => {
    const { store, after, onlyPresent, manifests } = await prepare(1);
    await perform(rotateKeys, after, {});

    const { output } = await perform(rotateKeys, after, { all: true });

    expect(output).toMatchObject({ rotated: [manifests[0]?.id] });
    await expectReadable(store, manifests[0]?.id ?? "", onlyPresent);
  });

  it("opens with the keys of another store where it is told to", async () => {
    const { store, onlyPresent, manifests, directory } = await prepare(1);
    const context = testContext({
      stores: {
        local: { url: `file:${directory}`, recipients: [present.recipient] },
        old: { url: `file:${directory}`, identity: former.identity },
      },
    });

    await perform(rotateKeys, context, { store: "local", "open-with": "old" });

    await expectReadable(store, manifests[0]?.id ?? "", onlyPresent);
  });

  it("takes a store from age to AES-256-GCM and back", async () => {
    const { store, after, manifests, directory } = await prepare(1);
    const id = manifests[0]?.id ?? "";
    writeFileSync(join(folder, "aes"), randomBytes(32).toString("hex"));
    const aes = testContext(
      {
        stores: {
          local: {
            url: `file:${directory}`,
            identity: former.identity,
            encryption: "aes-256-gcm",
            "encryption-key": `file:${join(folder, "aes")}`,
          },
        },
      },
      { directory: folder },
    );

    await perform(rotateKeys, aes, {});
    const sealed = await expectReadable(store, id, aes);
    expect(sealed.encryption.method).toBe("aes-256-gcm");
    expect(readdirSync(join(directory, id)).filter((each) => each.endsWith(".age"))).toEqual([]);

    const back = testContext({
      stores: {
        local: {
          url: `file:${directory}`,
          recipients: [present.recipient],
          identity: present.identity,
          "encryption-key": `file:${join(folder, "aes")}`,
        },
      },
    });
    await perform(rotateKeys, back, {});
    await expectReadable(store, id, after);
  });

  it("without the key that opens them changes nothing", async () => {
    const { store, before, onlyPresent, manifests, directory } = await prepare(1);
    const id = manifests[0]?.id ?? "";
    const files = readdirSync(join(directory, id)).sort();

    expect((await rejection(perform(rotateKeys, onlyPresent, {}))).code).toBe("E_IDENTITY");

    expect(readdirSync(join(directory, id)).sort()).toEqual(files);
    await expectReadable(store, id, before);
  });

  it("a damaged backup stays as it is, and is named", async () => {
    const { after, manifests, directory } = await prepare(1);
    const [object] = manifests[0]?.objects ?? [];
    const path = join(directory, object?.name ?? "");
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 10) ^ 1, bytes.length - 10);
    writeFileSync(path, bytes);
    const manifest = readFileSync(join(directory, manifests[0]?.id ?? "", "manifest.json"), "utf8");

    expect((await rejection(perform(rotateKeys, after, {}))).code).toBe("E_BACKUP_CORRUPT");

    expect(readFileSync(join(directory, manifests[0]?.id ?? "", "manifest.json"), "utf8")).toBe(manifest);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  it("leaves what is under legal hold, and says that it did not do all", async () => {
    const { store, before, after, manifests } = await prepare(2);
    const [held, other] = manifests.map((each) => each.id);
    await perform(hold, before, { backup: held, reason: "case 4711" });

    const { output } = await perform(rotateKeys, after, {});

    expect(output).toMatchObject({
      rotated: [other],
      left: [{ id: held, why: expect.stringContaining("case 4711") }],
    });
    expect(rotateKeys.failure?.(output)).toMatchObject({ code: "E_ROTATION" });
    await expectReadable(store, held ?? "", before);
  });

  describe("of signed backups", () => {
    const signing = newSigningKey();

    it("signs them again where they were signed by somebody trusted", async () => {
      const key = {
        "signing-key": `file:${join(folder, "signing")}`,
        "trusted-signers": [signing.publicKey],
      };
      writeFileSync(join(folder, "signing"), signing.privateKey);
      const { store, after, manifests } = await prepare(1, key, signing.privateKey);

      await perform(rotateKeys, after, {});

      const id = manifests[0]?.id ?? "";
      const owner = () => ({ environment: "test", database: "main" });
      await expect(findBackup(store, [signing.publicKey], id, owner)).resolves.toMatchObject({
        manifest: { id },
      });
    });

    it("does not sign what nobody had signed", async () => {
      const key = { "signing-key": `file:${join(folder, "signing")}` };
      writeFileSync(join(folder, "signing"), signing.privateKey);
      const { store, after, manifests } = await prepare(1, key);

      await perform(rotateKeys, after, {});

      const owner = () => ({ environment: "test", database: "main" });
      const { signature } = await findBackup(store, [], manifests[0]?.id ?? "", owner);
      expect(signature).toBeUndefined();
    });

    it("leaves what a stranger signed, and what it cannot sign again", async () => {
      const stranger = await prepare(
        1,
        { "signing-key": `file:${join(folder, "signing")}` },
        newSigningKey().privateKey,
      );
      const keyless = await prepare(1, { "trusted-signers": [signing.publicKey] }, signing.privateKey);
      writeFileSync(join(folder, "signing"), signing.privateKey);

      for (const [{ after, before, store, manifests }, why] of [
        [stranger, "not signed by a trusted signer"],
        [keyless, "no signing-key"],
      ] as const) {
        const { output } = await perform(rotateKeys, after, {});
        expect(output).toMatchObject({ rotated: [], left: [{ why: expect.stringContaining(why) }] });
        await expectReadable(store, manifests[0]?.id ?? "", before);
      }
    });
  });
});

describe("backup keys list", () => {
  it("says which keys open which backups, before and after", async () => {
    const { after, manifests } = await prepare(2);
    const [older, newer] = manifests.map((each) => each.id);

    const seen = await perform(listKeys, after, {});

    expect(seen.output).toMatchObject({
      keys: [
        { key: present.recipient, configured: true, backups: 0 },
        { key: former.recipient, configured: false, backups: 2 },
      ],
      backups: [newer, older].map((id) => ({ id, missing: [present.recipient], former: [former.recipient] })),
    });
    expect(listKeys.render?.(seen.output)).toContain("ops backup keys rotate");

    await perform(rotateKeys, after, {});
    expect((await perform(listKeys, after, {})).output).toMatchObject({
      keys: [{ key: present.recipient, configured: true, backups: 2 }],
    });
  });
});

describe("a rotation whose process is killed with SIGKILL", () => {
  const moments: readonly [string, (files: readonly string[]) => boolean][] = [
    ["when it holds the backup", (files) => files.includes("hold.json")],
    ["in the middle of an object", (files) => files.some((each) => each.endsWith(".partial"))],
    ["after the first object", (files) => files.some((each) => /^dump\.zst\.[0-9a-f]{8}\.age$/.test(each))],
    ["when it removes what was before", (files) => !files.includes("dump.zst.age")],
  ];

  it.each(moments)("%s leaves a whole backup, and is finished by another apply", async (_, isReached) => {
    const { store, after, settings, onlyPresent, manifests, directory } = await prepare(
      1,
      {},
      undefined,
      large,
    );
    const id = manifests[0]?.id ?? "";
    const input = rotateKeys.input.parse({});
    const before = await rotateKeys.observe(after, input);
    const script = new URL("./backup-attempt.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [script], { stdio: ["pipe", "ignore", "inherit"] });
    const exit = once(child, "exit");
    child.stdin.end(JSON.stringify({ name: "backup.keys.rotate", settings, input: {}, before }));
    while (child.exitCode === null && !isReached(readdirSync(join(directory, id)))) await delay(1);
    child.kill("SIGKILL");
    await exit;

    await expectReadable(store, id, after, large);
    await rotateKeys.apply(after, input, before, new RecordingReport());

    const renewed = await expectReadable(store, id, onlyPresent, large);
    expect(readdirSync(join(directory, id)).sort()).toEqual(
      ["manifest.json", ...renewed.objects.map((each) => each.name.slice(id.length + 1))].sort(),
    );
  });
});

/** A store that dies: from the given change on nothing reaches it, as after a kill of the process. */
function dying(store: ObjectStore, changes: number, moment: "before" | "after"): ObjectStore {
  let left = changes;
  const dead = () => new Error("killed");
  return new Proxy(store, {
    get: (target, key) => {
      const method = Reflect.get(target, key);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        if (left < 0) throw dead();
        if (!["put", "putIfAbsent", "replace", "delete"].includes(String(key)))
          return method.apply(target, args);
        left -= 1;
        if (left < 0 && moment === "before") return Promise.reject(dead());
        const result: Promise<unknown> = method.apply(target, args);
        return left < 0 ? result.then(() => Promise.reject(dead())) : result;
      };
    },
  });
}

describe("a rotation that is killed at any change of the store", () => {
  const kills = Array.from({ length: 8 }, (_, index) => index).flatMap((index) => [
    [index, "before"] as const,
    [index, "after"] as const,
  ]);

  it.each(kills)(
    "%i, %s it, leaves a whole backup, and is finished when it is resumed",
    async (changes, moment) => {
      const { store, after, onlyPresent, manifests, directory } = await prepare(1);
      const id = manifests[0]?.id ?? "";
      const target = after.environment.store();
      const report = new RecordingReport();
      const attempt = async (
        through: ObjectStore,
        written: readonly RewrappedObject[],
      ): Promise<RotationResult> =>
        rotateBackup(after, target, through, id, {
          opener: await openerFor(target),
          sealer: await sealerFor(target),
          signing: await signingOf(target),
          again: false,
          written,
          keep: (objects) => report.checkpoint(objects.map((each) => ({ ...each }))),
          onBytes: () => undefined,
        });

      const killed = await attempt(dying(store, changes, moment), []).then(
        () => false,
        () => true,
      );
      // Hold, two objects, the manifest, two former objects, the hold again.
      expect(killed).toBe(changes < 7);
      await expectReadable(store, id, after);

      const result = await attempt(store, (report.last ?? []) as unknown as RewrappedObject[]);

      expect(result.status).toBe("rotated");
      const renewed = await expectReadable(store, id, onlyPresent);
      expect(readdirSync(join(directory, id)).sort()).toEqual(
        ["manifest.json", ...renewed.objects.map((each) => each.name.slice(id.length + 1))].sort(),
      );
    },
  );
});
