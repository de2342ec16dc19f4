import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newestDrill } from "../../src/archive/drill-record.ts";
import { encodeManifest } from "../../src/archive/manifest.ts";
import { checks } from "../../src/backup/checks.ts";
import { assertStored, findManifest } from "../../src/backup/stores.ts";
import { newSigningKey } from "../../src/crypto/signature.ts";
import { FileStore } from "../../src/storage/file-store.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

type Created = { id: string; stores: string[]; failedStores: { store: string; reason: string }[] };
const create = operation("backup.create");
const copy = operation("backup.copy");
const verify = operation("backup.verify");
const list = operation("backup.list");
const restore = operation("backup.restore");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

/** A database, and the stores `local` and `offsite`. */
async function twoStores(sql = "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i") {
  const prepared = await setting.prepare(sql);
  const offsite = `${prepared.directory}-offsite`;
  const stores = { local: prepared.store, offsite: { ...prepared.store, url: `file:${offsite}` } };
  return { ...prepared, offsite, settings: { ...prepared.settings, stores } };
}

/** A folder that cannot be made, because a file stands in its way. */
async function block(folder: string): Promise<void> {
  await writeFile(folder, "");
}

const listed = async (settings: object, store: string) =>
  (
    (await perform(list, testContext(settings), { store })).output as { backups: { id: string }[] }
  ).backups.map((each) => each.id);

describe("a backup to two stores", () => {
  it("is one dump, byte for byte the same in both", async () => {
    const { settings, directory, offsite } = await twoStores();
    const context = testContext(settings);

    const { output, changes } = await perform(create, context, { stores: ["local", "offsite"] });

    expect(changes.map((each) => each.target)).toEqual(["store:local", "store:offsite"]);
    expect(output).toMatchObject({ stores: ["local", "offsite"], failedStores: [] });
    const [here, there] = await Promise.all([filesIn(directory), filesIn(offsite)]);
    expect([...there.values()]).toEqual([...here.values()]);
    expect((await perform(verify, context, { store: "offsite" })).output).toMatchObject({ verdict: "pass" });
  });

  it("stays in the one where the other fails, the run fails, and a resumed one copies it", async () => {
    const { settings, directory, offsite } = await twoStores();
    const context = testContext(settings);
    await block(offsite);

    const made = await perform(create, context, { stores: ["local", "offsite"] });
    const { id } = made.output as Created;

    expect(made.output).toMatchObject({ stores: ["local"], failedStores: [{ store: "offsite" }] });
    expect(create.failure?.(made.output)).toMatchObject({
      code: "E_STORE_FAILED",
      hint: expect.stringContaining(`ops backup copy ${id} --from local --to offsite`),
    });
    expect(await listed(settings, "local")).toEqual([id]);

    await rm(offsite);
    const input = create.input.parse({ stores: ["local", "offsite"] });
    const again = await create.apply(context, input, made.before, new RecordingReport());
    expect(again).toMatchObject({ id, stores: ["local", "offsite"], failedStores: [] });
    expect(create.failure?.(again)).toBeUndefined();
    expect((await perform(verify, context, { store: "offsite" })).output).toMatchObject({
      id,
      verdict: "pass",
    });

    // A manifest alone is no backup: the store that lost an object does not count, and no copy is made of it.
    await rm(join(offsite, id, "dump.zst.age"));
    const damaged = await create.apply(context, input, made.before, new RecordingReport());
    expect(damaged).toMatchObject({
      stores: ["local"],
      failedStores: [{ store: "offsite", reason: expect.stringContaining("dump.zst.age is missing") }],
    });
    await rm(join(directory, id, "dump.zst.age"));
    await expect(create.apply(context, input, made.before, new RecordingReport())).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
    });
    expect(await create.undo?.(context, input, made.before, new RecordingReport())).toMatchObject({
      undone: "kept",
    });
  });

  it("is enough in one of them where the run says so, and fails where none takes it", async () => {
    const { settings, directory, offsite } = await twoStores();
    const context = testContext(settings);
    await block(offsite);

    const made = await perform(create, context, { stores: ["offsite", "local"], require: "any" });
    expect(create.failure?.(made.output)).toBeUndefined();

    await rm(directory, { recursive: true });
    await block(directory);
    await expect(
      perform(create, context, { stores: ["offsite", "local"], require: "any" }),
    ).rejects.toMatchObject({ code: "E_STORE" });
  });

  it("refuses stores with different keys, a store twice, and both fields at once", async () => {
    const { settings } = await twoStores();
    const other = { ...settings.stores.offsite, recipients: [`age1${"q".repeat(58)}`] };
    const different = { ...settings, stores: { ...settings.stores, offsite: other } };
    const stores = ["local", "offsite"];

    await expect(perform(create, testContext(different), { stores })).rejects.toMatchObject({
      code: "E_RECIPIENT",
      exitCode: 2,
    });
    for (const input of [{ stores: ["local", "local"] }, { store: "local", stores }]) {
      await expect(perform(create, testContext(settings), input)).rejects.toMatchObject({
        code: "E_INPUT",
        exitCode: 2,
      });
    }
  });
});

describe("backup.copy", () => {
  it("needs no key, copies once, and its copy restores", async () => {
    const { settings, store } = await twoStores();
    const { id } = (await perform(create, testContext(settings), { store: "local" })).output as Created;
    const { identity: _, ...keyless } = store;
    const from = { ...settings, stores: { ...settings.stores, local: keyless } };

    const first = await perform(copy, testContext(from), { from: "local", to: "offsite" });
    const second = await perform(copy, testContext(from), { backup: id, from: "local", to: "offsite" });

    expect(first.output).toMatchObject({ id, copied: true, objects: 3 });
    expect(second.changes).toEqual([]);
    expect(second.output).toMatchObject({ copied: false });
    expect((await perform(verify, testContext(settings), { store: "offsite" })).output).toMatchObject({
      id,
      verdict: "pass",
    });
  });

  it("makes no copy of a damaged backup", async () => {
    const { settings, directory, offsite } = await twoStores();
    const { id } = (await perform(create, testContext(settings), { store: "local" })).output as Created;
    const path = join(directory, id, "dump.zst.age");
    const bytes = await readFile(path);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    await chmod(path, 0o600);
    await writeFile(path, bytes);

    await expect(
      perform(copy, testContext(settings), { from: "local", to: "offsite" }),
    ).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT", message: expect.stringContaining("dump.zst.age") });

    await mkdir(offsite, { recursive: true });
    expect((await filesIn(offsite)).size).toBe(0);
  });

  it("makes a copy whole again that has lost something, and never takes it for the backup", async () => {
    const { settings, offsite } = await twoStores();
    const context = testContext(settings);
    const { id } = (await perform(create, context, { stores: ["local", "offsite"] })).output as Created;
    const dump = join(offsite, id, "dump.zst.age");
    const manifest = join(offsite, id, "manifest.json");
    const copied = () => perform(copy, context, { backup: id, from: "local", to: "offsite" });
    const isWhole = async () =>
      (await perform(verify, context, { backup: id, store: "offsite", level: "objects" })).output;

    for (const [damage, reason] of [
      [() => rm(dump), "is missing"],
      [() => writeFile(dump, "cut"), "has 3 bytes instead of"],
      [() => writeFile(manifest, "{"), "is not the manifest that was written"],
    ] as const) {
      await damage();
      const { changes, output } = await copied();
      expect(changes).toMatchObject([{ action: "update", summary: expect.stringContaining(reason) }]);
      expect(output).toMatchObject({ copied: true, repaired: expect.stringContaining(reason) });
      expect(await isWhole()).toMatchObject({ verdict: "pass" });
    }
    expect((await copied()).output).toMatchObject({ copied: false, repaired: null });

    // Another backup of that id there, as after a rotation of the keys: what it lacks the original does not have.
    const sealed = await findManifest(new FileStore(offsite), id);
    if (sealed === undefined) throw new Error("there is no manifest");
    const other = { ...sealed.manifest, encryption: { method: "age" as const, recipients: ["age1other"] } };
    await writeFile(manifest, encodeManifest(other));
    expect((await copied()).output).toMatchObject({ copied: false });
    await rm(dump);
    const kept = await filesIn(offsite);
    await expect(copied()).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
      hint: expect.stringContaining("--broken"),
    });
    expect(await filesIn(offsite)).toEqual(kept);
  });

  it("is refused by a store that does not trust the signer", async () => {
    const { settings } = await twoStores();
    await perform(create, testContext(settings), { store: "local" });
    const picky = { ...settings.stores.offsite, "trusted-signers": [newSigningKey().publicKey] };
    const stores = { ...settings.stores, offsite: picky };

    await expect(
      perform(copy, testContext({ ...settings, stores }), { from: "local", to: "offsite" }),
    ).rejects.toMatchObject({ code: "E_SIGNATURE", exitCode: 2 });
  });
});

describe("a signed backup", () => {
  it("is read by who trusts the signer; an unsigned, altered or foreign one is broken", async () => {
    const { settings, directory, store } = await twoStores();
    const { privateKey, publicKey } = newSigningKey();
    await writeFile(join(setting.folder, "signing.pem"), privateKey);
    const trusting = { ...store, "trusted-signers": [publicKey] };
    const signing = { ...trusting, "signing-key": `file:${join(setting.folder, "signing.pem")}` };
    const context = (local: object) => testContext({ ...settings, stores: { local } });
    const { id } = (await perform(create, context(signing), {})).output as Created;

    expect((await perform(verify, context(trusting), {})).output).toMatchObject({ id, verdict: "pass" });

    const stranger = { ...store, "trusted-signers": [newSigningKey().publicKey] };
    await expect(perform(verify, context(stranger), {})).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
      message: expect.stringContaining("not signed by a trusted signer"),
    });
    const manifest = join(directory, id, "manifest.json");
    const text = await readFile(manifest, "utf8");
    await writeFile(manifest, text.replace('"main"', '"othr"'));
    await expect(perform(verify, context(trusting), { backup: id })).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
    });
    // Who signs trusts the own signature, without being told.
    const { "trusted-signers": _, ...signingOnly } = signing;
    await rm(join(directory, id), { recursive: true });
    await perform(create, context(store), {});
    await expect(perform(verify, context(signingOnly), {})).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
    });
    await expect(perform(verify, context(trusting), {})).rejects.toMatchObject({
      code: "E_BACKUP_CORRUPT",
      message: expect.stringContaining("is not signed"),
    });
  });
});

describe("an archive of somebody else in the place of a signed one", () => {
  it("reaches no server: not even the scratch database is made", async () => {
    const evil = await setting.prepare("CREATE TABLE t AS SELECT 666 AS i");
    const { settings, directory, store } = await twoStores();
    const { privateKey } = newSigningKey();
    await writeFile(join(setting.folder, "own.pem"), privateKey);
    const signing = { ...store, "signing-key": `file:${join(setting.folder, "own.pem")}` };
    const context = testContext({ ...settings, stores: { local: signing } });
    const { id } = (await perform(create, context, {})).output as Created;
    const other = (await perform(create, testContext(evil.settings), {})).output as Created;
    const foreign = await readFile(join(evil.directory, other.id, "dump.zst.age"));
    const target = join(directory, id, "dump.zst.age");
    const size = (await readFile(target)).length;
    // As long as the original, so that only its content tells.
    await writeFile(target, Buffer.concat([foreign, Buffer.alloc(size)]).subarray(0, size));
    const report = new RecordingReport();
    const input = restore.input.parse({ into: "never" });

    await expect(
      restore.observe(context, input).then((before) => restore.apply(context, input, before, report)),
    ).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
    expect(report.messages.filter((each) => each.includes("schema") || each.includes("rows"))).toEqual([]);
    expect((await setting.databases()).filter((each) => /never|ops_restore/.test(each))).toEqual([]);
  });
});

describe("hooks", () => {
  it("run around the dump and are told how it ended; a failing one before stops everything", async () => {
    const { settings, directory } = await twoStores();
    const log = `${directory}.log`;
    const say = ["sh", "-c", `echo "$OPS_BACKUP_DATABASE $OPS_BACKUP_STATUS" >> ${log}`];

    await perform(create, testContext(settings), { store: "local", before: say, after: say });
    expect(await readFile(log, "utf8")).toBe("main begin\nmain complete\n");

    await expect(
      perform(create, testContext(settings), { store: "local", before: ["false"], after: say }),
    ).rejects.toMatchObject({ code: "E_HOOK" });
    expect(await readFile(log, "utf8")).toBe("main begin\nmain complete\n");
    expect(await listed(settings, "local")).toHaveLength(1);
  });
});

describe("the hook after", () => {
  const big = "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 300000) i";

  it("does not hide what the dump failed with", async () => {
    const { settings } = await twoStores();
    const input = { store: "local", tables: ["nosuch"], after: ["false"] };

    await expect(perform(create, testContext(settings), input)).rejects.toMatchObject({
      code: "E_PROGRAM_FAILED",
    });
  });

  it("runs where the run is stopped at once, and again where a killed one is resumed", async () => {
    const { settings, directory } = await twoStores(big);
    const log = `${directory}.log`;
    const after = ["sh", "-c", `echo "$OPS_BACKUP_STATUS" >> ${log}`];
    const stopped = new AbortController();
    const input = create.input.parse({ store: "local", after });
    const before = await create.observe(testContext(settings), input);
    const apply = (signal?: AbortSignal) =>
      create.apply(testContext(settings, signal && { signal }), input, before, new RecordingReport());

    const attempt = apply(stopped.signal);
    await expect.poll(() => existsSync(directory), { timeout: 30_000 }).toBe(true);
    stopped.abort(new Error("stopped"));
    await expect(attempt).rejects.toThrow("stopped");
    expect(await readFile(log, "utf8")).toBe("failed\n");

    await apply();
    await apply();
    expect(await readFile(log, "utf8")).toBe("failed\ncomplete\ncomplete\n");
  });
});

describe("before its manifest is written a backup", () => {
  it("must still be there: a prune elsewhere may have cleared it", async () => {
    const { settings, directory } = await twoStores();
    const { id } = (await perform(create, testContext(settings), { store: "local" })).output as Created;
    const store = new FileStore(directory);
    const sealed = await findManifest(store, id);
    if (sealed === undefined) throw new Error("there is no manifest");

    await assertStored(store, sealed.manifest);
    await store.delete(`${id}/dump.zst.age`);

    await expect(assertStored(store, sealed.manifest)).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
  });
});

describe("the check drill-age", () => {
  it("fails without a drill, passes after one, and fails after one that failed", async () => {
    const { settings, directory } = await twoStores();
    const context = testContext(settings);
    const check = checks.find((each) => each.kind === "drill-age");
    if (check === undefined) throw new Error("there is no check drill-age");
    const input = check.input.parse({ store: "local" });
    const judged = async () => check.judge(await check.measure(context, input), input, {});
    await perform(create, context, { store: "local" });

    expect(await judged()).toMatchObject({ status: "fail", reason: expect.stringContaining("no drill") });
    await perform(verify, context, { store: "local", level: "drill" });
    expect(await judged()).toMatchObject({ status: "pass" });
    const owner = { environment: "test", database: "main" };
    expect(await newestDrill(new FileStore(directory), owner)).toMatchObject({ whole: true });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await perform(verify, context, { store: "local", level: "drill", checks: ["SELECT false"] });
    expect(await judged()).toMatchObject({ status: "fail", reason: expect.stringContaining("SELECT false") });
  }, 60_000);
});
