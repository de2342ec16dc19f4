import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ceph, newBucket, s3Settings } from "../support/ceph.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { S3Proxy } from "../support/s3-proxy.ts";
import { BackupSetting, operation } from "./backup-setting.ts";

const copy = operation("backup.copy");
const create = operation("backup.create");
const list = operation("backup.list");
const prune = operation("backup.prune");
const verify = operation("backup.verify");

let setting: BackupSetting;
let proxy: S3Proxy;
beforeAll(async () => {
  setting = await BackupSetting.start();
  proxy = await S3Proxy.start((await ceph()).endpoint);
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await setting.stop();
});

/** A folder, and a bucket behind the proxy that locks what is written to it. */
async function lockedStores() {
  const { settings, store } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x");
  const bucket = await newBucket({ objectLock: true });
  const lock = { "object-lock": { mode: "governance", for: "30d" } };
  const offsite = await s3Settings(bucket, { endpoint: proxy.endpoint, ...lock });
  const { identity, recipients } = store;
  const stores = { local: store, offsite: { ...offsite, identity, recipients, retention: { last: 1 } } };
  return testContext({ ...settings, stores });
}

/** Everything but the manifest is written, and locked. */
function refuseManifest(): void {
  const manifest = ({ url, method }: { url: string; method: string }) =>
    method === "PUT" && /manifest\.json/.test(url);
  proxy.fault(manifest, { kind: "answer", status: 403, code: "AccessDenied" }, 1);
}

const keptByLock =
  /removed; .*\/dump\.zst\.age, .* stay as long as Object Lock holds, then ops backup prune clears it$/;

describe("a backup that was interrupted in a bucket with Object Lock", () => {
  it("is finished when it is resumed: what is locked stays under it", async () => {
    const context = await lockedStores();
    const input = create.input.parse({ store: "offsite" });
    const before = await create.observe(context, input);
    refuseManifest();
    const attempt = () => create.apply(context, input, before, new RecordingReport());
    await expect(attempt()).rejects.toMatchObject({ code: "E_STORE_DENIED" });

    const made = await attempt();

    expect(made).toMatchObject({ stores: ["offsite"], failedStores: [] });
    const { id } = before as { id: string };
    expect((await perform(verify, context, { backup: id, store: "offsite" })).output).toMatchObject({
      verdict: "pass",
    });
  });

  it("is taken back as far as the lock lets it, by create and by copy, which say what stays", async () => {
    const context = await lockedStores();
    const input = create.input.parse({ store: "offsite" });
    const before = await create.observe(context, input);
    refuseManifest();
    await expect(create.apply(context, input, before, new RecordingReport())).rejects.toMatchObject({
      code: "E_STORE_DENIED",
    });
    await perform(create, context, { store: "local" });
    const toCopy = copy.input.parse({ from: "local", to: "offsite", database: "main" });
    const beforeCopy = await copy.observe(context, toCopy);
    refuseManifest();
    await expect(copy.apply(context, toCopy, beforeCopy, new RecordingReport())).rejects.toMatchObject({
      code: "E_STORE_DENIED",
    });

    const note = expect.stringMatching(keptByLock);
    expect(await create.undo?.(context, input, before, new RecordingReport())).toEqual({
      undone: true,
      note,
    });
    expect(await copy.undo?.(context, toCopy, beforeCopy, new RecordingReport())).toEqual({
      undone: true,
      note,
    });

    expect((await perform(list, context, { store: "offsite" })).output).toMatchObject({ backups: [] });
    const swept = await perform(prune, context, { store: "offsite", "leftovers-after": "0s" });
    const stillLocked = { why: "the store still locks it (Object Lock)" };
    expect(swept.output).toMatchObject({ leftovers: [], busy: [stillLocked, stillLocked] });
  });
});
