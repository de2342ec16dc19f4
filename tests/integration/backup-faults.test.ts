import { execFileSync } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { S3 } from "@aws-sdk/client-s3";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ceph, cephClient, newBucket, s3Settings } from "../support/ceph.ts";
import { perform, testContext } from "../support/context.ts";
import { PostgresProxy } from "../support/postgres-proxy.ts";
import { type Fault, requests, S3Proxy } from "../support/s3-proxy.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const list = operation("backup.list");
const prune = operation("backup.prune");
const restore = operation("backup.restore");
const verify = operation("backup.verify");

const noise = `
  CREATE TABLE noise AS SELECT i, array_to_string(ARRAY(
    SELECT md5(random()::text || i || part) FROM generate_series(1, 20) part), '') AS body
    FROM generate_series(1, 24000) i;
  CREATE TABLE small AS SELECT 1 AS x;
`;
const parallel = { jobs: 2, "split-from": "1MiB" };

let setting: BackupSetting;
let prepared: Awaited<ReturnType<BackupSetting["prepare"]>>;
beforeAll(async () => {
  setting = await BackupSetting.start();
  prepared = await setting.prepare(noise);
});
afterAll(() => setting.stop());

/** Stores of one test: a folder, and a bucket behind a proxy. */
interface Stores {
  readonly settings: { readonly databases: object; readonly stores: Record<string, object> };
  readonly folder: string;
  readonly bucket: string;
}

let proxy: S3Proxy;
let stores: Stores;
let s3: S3;
beforeAll(async () => {
  s3 = await cephClient();
});
afterAll(() => s3.destroy());
beforeEach(async () => {
  proxy = await S3Proxy.start((await ceph()).endpoint);
  const bucket = await newBucket();
  const folder = join(setting.folder, bucket);
  const { identity, recipients } = prepared.store;
  const offsite = await s3Settings(bucket, { "part-size": "5MiB", endpoint: proxy.endpoint });
  stores = {
    bucket,
    folder,
    settings: {
      databases: prepared.settings.databases,
      stores: {
        local: { ...prepared.store, url: `file:${folder}` },
        offsite: { ...offsite, identity, recipients },
      },
    },
  };
});
afterEach(() => proxy[Symbol.asyncDispose]());

/** Ids that a store lists, each of them decrypted to its end. */
async function whole(store: string, settings: object = stores.settings): Promise<string[]> {
  const context = testContext(settings);
  const { output } = await perform(list, context, { store });
  const ids = (output as { backups: { id: string }[] }).backups.map((each) => each.id);
  for (const backup of ids) await perform(verify, context, { backup, store });
  return ids;
}

/** What prune leaves in both stores that belongs to none of the ids. */
async function remains(ids: readonly string[]): Promise<string[]> {
  for (const store of ["local", "offsite"])
    await perform(prune, testContext(stores.settings), { store, "leftovers-after": "0s" });
  const Bucket = stores.bucket;
  const { Contents = [] } = await s3.listObjectsV2({ Bucket });
  const { Uploads = [] } = await s3.listMultipartUploads({ Bucket });
  const files = await filesIn(stores.folder).catch(() => new Map<string, Buffer>());
  const names = [...files.keys(), ...Contents.map((each) => each.Key ?? "")];
  return [
    ...names.filter((name) => name.endsWith(".partial") || !ids.some((id) => name.includes(`/${id}/`))),
    ...Uploads.map((each) => `upload of ${each.Key}`),
  ];
}

function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** What a person is told: a code, where it was, and what to do. */
const helpful = (code: string, where: string) => ({
  code,
  message: expect.stringContaining(where),
  hint: expect.stringMatching(/\w+ \w+/),
});

describe("a backup to two stores, with faults between it and S3", () => {
  it.each<[string, Parameters<S3Proxy["fault"]>[0], Fault, number]>([
    ["500s", requests.part(), { kind: "answer", status: 500, code: "InternalError" }, 3],
    ["SlowDown", requests.whole, { kind: "answer", status: 503, code: "SlowDown" }, 3],
    ["a part cut on its way", requests.part(2), { kind: "cut request", after: 1_000_000 }, 2],
    [
      "a lost answer to the manifest",
      ({ url, method }) => method === "PUT" && /manifest/.test(url),
      { kind: "lose answer" },
      1,
    ],
    ["a lost answer to the end of an upload", requests.complete, { kind: "lose answer" }, 1],
    ["lists that break off", requests.list, { kind: "truncate", after: 100 }, 2],
  ])("is whole in both after %s", async (_, matches, fault, times) => {
    proxy.fault(matches, fault, times);

    const { output } = await perform(create, testContext(stores.settings), {
      stores: ["local", "offsite"],
      ...parallel,
    });

    expect(proxy.pending).toBe(0);
    const { id } = output as { id: string };
    expect(output).toMatchObject({ stores: ["local", "offsite"], failedStores: [] });
    expect([await whole("local"), await whole("offsite")]).toEqual([[id], [id]]);
    expect(await remains([id])).toEqual([]);
  });

  it("is verified and restored through reads that break off", async () => {
    const context = testContext(stores.settings);
    const { output } = await perform(create, context, { store: "offsite", ...parallel });
    const { id } = output as { id: string };
    const dumps = ({ url, method }: { url: string; method: string }) =>
      method === "GET" && /dump\.zst/.test(url);
    proxy.fault(dumps, { kind: "truncate", after: 300_000 }, 3);
    await perform(verify, context, { store: "offsite", backup: id });
    expect(proxy.pending).toBe(0);
    proxy.fault(dumps, { kind: "truncate", after: 200_000 }, 3);

    await perform(restore, context, { store: "offsite", backup: id, into: "broken_off", jobs: 2 });

    expect(proxy.pending).toBe(0);
    expect(setting.dump("broken_off")).toBe(setting.dump(prepared.database));
  });

  it("says that the clocks differ, where they do, and goes on with the other store where that is enough", async () => {
    const skewed: Fault = { kind: "answer", status: 403, code: "RequestTimeTooSkewed" };
    proxy.fault(requests.any, skewed, 1_000);
    const both = { stores: ["local", "offsite"] };
    const context = testContext(stores.settings);

    const attempts: [typeof create, object][] = [
      [create, { store: "offsite" }],
      [verify, { store: "offsite" }],
      [prune, { store: "offsite" }],
      [restore, { store: "offsite", into: "skewed" }],
    ];
    for (const [work, input] of attempts) {
      expect(await failureOf(perform(work, context, input)), work.name).toMatchObject(
        helpful("E_STORE_CLOCK", `s3://${stores.bucket}/shop`),
      );
    }
    const all = (await perform(create, context, both)).output;
    expect(create.failure?.(all)).toMatchObject(helpful("E_STORE_FAILED", "not in offsite"));
    const { output } = await perform(create, context, { ...both, require: "any" });

    expect(output).toMatchObject({
      stores: ["local"],
      failedStores: [{ store: "offsite", reason: expect.stringContaining("clock") }],
    });
    expect(create.failure?.(output)).toBeUndefined();
    expect((await whole("local")).length).toBe(2);
  });
});

describe("a backup whose connection to PostgreSQL is cut", () => {
  it("fails with what was cut, is listed nowhere and leaves nothing", async () => {
    await using server = await PostgresProxy.start(setting.cluster.port);
    const settings = {
      ...stores.settings,
      databases: { main: { url: `${server.url(prepared.database)}?sslmode=disable` } },
    };
    const context = testContext(settings);
    const input = create.input.parse({ stores: ["local", "offsite"], ...parallel });
    const before = await create.observe(context, input);
    const report = {
      progress: () => undefined,
      log: () => undefined,
      checkpoint: async () => undefined,
      last: undefined,
    };
    server.arm({ event: "request", number: Number.MAX_SAFE_INTEGER });
    await create.apply(context, input, before, report);
    const queries = server.seen.request;
    expect(queries).toBeGreaterThan(50);
    const undo = await create.observe(context, input);
    const kept = await whole("local");

    for (const share of [0.05, 0.4, 0.8]) {
      server.arm({ event: "request", number: Math.ceil(queries * share) });
      const error = await failureOf(create.apply(context, input, undo, report));
      expect(server.fired).toBe(true);
      // Some of what is asked is only asked to be polite: then nothing is lost.
      if (error === undefined) break;
      expect(error, String(share)).toMatchObject({
        code: expect.stringMatching(/^E_(PROGRAM_FAILED|DATABASE|SQL|CONNECTION)/),
      });
      expect([await whole("local"), await whole("offsite")]).toEqual([kept, kept]);
      expect(await remains(kept), String(share)).toEqual([]);
    }
  }, 120_000);
});

describe("a full disk under one of two stores", () => {
  let disk: string;
  beforeEach(async () => {
    disk = join(setting.folder, "disk");
    await mkdir(disk);
    // Needs root: a file system of its own is what makes a full disk real.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", disk]);
  });
  afterEach(async () => {
    execFileSync("umount", [disk]);
    await rm(disk, { recursive: true });
  });

  it.each(["all", "any"])(
    "leaves the backup whole in the other one, and says so (require: %s)",
    async (require) => {
      const local = { ...stores.settings.stores.local, url: `file:${disk}` };
      const context = testContext({ ...stores.settings, stores: { ...stores.settings.stores, local } });
      const { output } = await perform(create, context, {
        stores: ["local", "offsite"],
        require,
        ...parallel,
      });

      const { id } = output as { id: string };
      expect(output).toMatchObject({
        stores: ["offsite"],
        failedStores: [{ store: "local", reason: expect.stringContaining("no space left") }],
      });
      const failure = create.failure?.(output);
      if (require === "any") expect(failure).toBeUndefined();
      else expect(failure).toMatchObject(helpful("E_STORE_FAILED", id));
      expect(await whole("offsite")).toEqual([id]);
      expect((await perform(list, context, { store: "local" })).output).toMatchObject({ backups: [] });
      await perform(prune, context, { store: "local", "leftovers-after": "0s" });
      expect((await filesIn(disk)).size).toBe(0);
    },
  );
});

describe("a wrong key", () => {
  it("is told from damage by everything that opens backups, and no database is left", async () => {
    const context = testContext(stores.settings);
    const { output } = await perform(create, context, { store: "local", ...parallel });
    const { id } = output as { id: string };
    const other = await generateX25519Identity();
    const local = {
      ...stores.settings.stores.local,
      identity: other,
      recipients: [await identityToRecipient(other)],
    };
    const foreign = testContext({ ...stores.settings, stores: { local } });
    const attempts: [typeof create, object][] = [
      [verify, { backup: id }],
      [verify, { backup: id, level: "drill" }],
      [restore, { backup: id, into: "wrong_key" }],
      [restore, { backup: id, into: "wrong_key", jobs: 2 }],
    ];
    for (const [work, input] of attempts) {
      expect(await failureOf(perform(work, foreign, input)), work.name).toMatchObject({ code: "E_IDENTITY" });
    }
    expect((await setting.databases()).filter((name) => /wrong_key|ops_restore/.test(name))).toEqual([]);
    expect((await perform(verify, foreign, { backup: id, level: "objects" })).output).toMatchObject({
      verdict: "pass",
    });
  });
});
