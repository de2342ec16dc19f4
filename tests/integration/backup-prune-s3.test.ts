import { describe, expect, it } from "vitest";
import { readCatalog } from "../../src/archive/catalog.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { cephClient, newBucket, s3Settings } from "../support/ceph.ts";
import { perform, testContext } from "../support/context.ts";
import { storeBackup } from "../support/stored-backups.ts";
import { operation } from "./backup-setting.ts";

const prune = operation("backup.prune");
const hold = operation("backup.hold");
const release = operation("backup.release");

const day = 86_400_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

async function bucketStore(options: { objectLock?: boolean } = {}, s3: object = {}) {
  const bucket = await newBucket(options);
  const entry = { ...(await s3Settings(bucket, s3)), retention: { last: 1 } };
  const context = testContext({
    databases: { main: { url: "postgresql://nobody@127.0.0.1:1/none" } },
    stores: { offsite: entry },
  });
  const target = context.environment.store("offsite");
  return { bucket, context, store: openStore(target) };
}

async function keys(bucket: string): Promise<string[]> {
  const { Contents = [] } = await (await cephClient()).listObjectsV2({ Bucket: bucket });
  return Contents.map((each) => each.Key ?? "").sort();
}

describe("backup.prune of a store on S3", () => {
  it("removes, respects holds, and clears objects without a manifest and uploads that never ended", async () => {
    const { bucket, context, store } = await bucketStore();
    const old = await storeBackup(store, { at: ago(4 * day) });
    const held = await storeBackup(store, { at: ago(3 * day) });
    const newest = await storeBackup(store, { at: ago(day) });
    const dead = `${ago(2 * day).replace(/[-:]|\.\d+/g, "")}-main-dead`;
    const client = await cephClient();
    await client.putObject({ Bucket: bucket, Key: `shop/${dead}/dump.zst.age`, Body: "half" });
    const upload = { Bucket: bucket, Key: `shop/${dead}/data-1.zst.age` };
    const { UploadId } = await client.createMultipartUpload(upload);
    await client.uploadPart({ ...upload, UploadId, PartNumber: 1, Body: Buffer.alloc(5 * 2 ** 20) });
    await perform(hold, context, { backup: held, reason: "case 4711" });

    // The upload began just now: its sign of life protects the objects beside it too.
    expect((await perform(prune, context, {})).output).toMatchObject({
      removed: [{ id: old }],
      kept: [{ id: newest }, { id: held, reasons: [expect.stringContaining("case 4711")] }],
      leftovers: [],
      busy: [{ id: dead }],
    });
    expect((await perform(prune, context, { "leftovers-after": "0s" })).output).toMatchObject({
      leftovers: [{ id: dead, objects: 1, unfinished: 1 }],
    });
    await perform(release, context, { backup: held });
    await perform(prune, context, {});

    expect(await keys(bucket)).toEqual([`shop/${newest}/dump.zst.age`, `shop/${newest}/manifest.json`]);
    expect((await client.listMultipartUploads({ Bucket: bucket })).Uploads ?? []).toEqual([]);
  });

  it("does not try what Object Lock keeps, and leaves leftovers that it locks for later", async () => {
    const lock = { "object-lock": { mode: "governance", for: "30d" } };
    const { context, store } = await bucketStore({ objectLock: true }, lock);
    const old = await storeBackup(store, { at: ago(3 * day) });
    await storeBackup(store, { at: ago(day) });
    const dead = `${ago(2 * day).replace(/[-:]|\.\d+/g, "")}-main-dead`;
    await store.put(`${dead}/dump.zst.age`, one("half"));

    const { output } = await perform(prune, context, {});

    expect(output).toMatchObject({
      removed: [],
      kept: [{}, { id: old, reasons: [expect.stringMatching(/^Object Lock until /)] }],
      leftovers: [],
      busy: [{ id: dead, why: "the store still locks it (Object Lock)" }],
    });
    expect((await readCatalog(store, [])).map((each) => each.status)).toEqual(["complete", "complete"]);
  });

  it("whose lock is longer than it is configured, keeps the backup whole", async () => {
    const { bucket, context, store } = await bucketStore({ objectLock: true });
    const old = await storeBackup(store, { at: ago(3 * day) });
    await storeBackup(store, { at: ago(day) });
    await (await cephClient()).putObjectRetention({
      Bucket: bucket,
      Key: `shop/${old}/manifest.json`,
      Retention: { Mode: "GOVERNANCE", RetainUntilDate: new Date(Date.now() + day) },
    });

    expect((await perform(prune, context, {})).output).toMatchObject({
      removed: [],
      kept: [{}, { id: old, reasons: ["the store still locks it (Object Lock)"] }],
    });
    expect((await readCatalog(store, [])).map((each) => each.status)).toEqual(["complete", "complete"]);
    expect(await keys(bucket)).not.toContain(`shop/${old}/hold.json`);
  });
});

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
