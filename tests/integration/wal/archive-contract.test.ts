import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { storeSchema } from "../../../src/config/store-schema.ts";
import { storeTarget } from "../../../src/config/store-target.ts";
import { openerFor, sealerFor } from "../../../src/crypto/encryption.ts";
import { FileStore } from "../../../src/storage/file-store.ts";
import type { ObjectStore } from "../../../src/storage/object-store.ts";
import { S3Store } from "../../../src/storage/s3/s3-store.ts";
import { archiveFile } from "../../../src/wal-archive/archive-file.ts";
import { claimArchive } from "../../../src/wal-archive/cluster.ts";
import { listWal } from "../../../src/wal-archive/contents.ts";
import { isFollowed, readArchivedFile } from "../../../src/wal-archive/read-file.ts";
import { newBucket, s3Target } from "../../support/ceph.ts";

const segment = "000000010000000000000001";
const { signal } = new AbortController();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-wal-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const kinds: [string, () => Promise<ObjectStore>][] = [
  ["a folder", async () => new FileStore(join(folder, "store"))],
  ["S3", async () => new S3Store(await s3Target(await newBucket()))],
];

describe.each(kinds)("an archive in %s", (_kind, open) => {
  async function archive() {
    const identity = await generateX25519Identity();
    const recipients = [await identityToRecipient(identity)];
    const keys = storeTarget("store", storeSchema.parse({ url: "file:x", recipients, identity }), folder);
    const store = await open();
    return { name: "store", store, sealer: await sealerFor(keys), opener: await openerFor(keys) };
  }
  const file = (content: Buffer, name = segment) => ({
    database: "main",
    file: name,
    content,
    compression: 3,
  });

  it("gives back what it was given, and says what is missing", async () => {
    const store = await archive();
    const content = randomBytes(6 * 2 ** 20);
    await archiveFile([store], file(content), signal);
    await archiveFile([store], file(content, "000000010000000000000004"), signal);

    expect((await readArchivedFile([store], "main", segment, signal)).equals(content)).toBe(true);
    await expect(readArchivedFile([store], "main", "000000010000000000000002", signal)).rejects.toMatchObject(
      { code: "E_WAL_MISSING" },
    );
    expect(await isFollowed([store], "main", "000000010000000000000002", 2 ** 24)).toBe(true);
    expect(await isFollowed([store], "main", "000000010000000000000004", 2 ** 24)).toBe(false);
    expect((await listWal(store.store, "main", 2 ** 24)).segments).toEqual(new Map([[1, new Set([1n, 4n])]]));
  });

  it("keeps one of several contents that come under one name at the same time", async () => {
    const store = await archive();
    const contents = Array.from({ length: 4 }, () => randomBytes(100_000));
    const settled = await Promise.allSettled(
      contents.map((each) => archiveFile([store], file(each), signal)),
    );

    const kept = settled.findIndex((each) => each.status === "fulfilled");
    expect(settled.filter((each) => each.status === "fulfilled")).toHaveLength(1);
    for (const each of settled)
      if (each.status === "rejected") expect(each.reason).toMatchObject({ code: "E_WAL_DIFFERENT" });
    const found = await readArchivedFile([store], "main", segment, signal);
    expect(contents.findIndex((each) => each.equals(found))).toBe(kept);
  });

  it("takes the same content from several at the same time", async () => {
    const store = await archive();
    const content = randomBytes(100_000);
    await Promise.all([1, 2, 3, 4].map(() => archiveFile([store], file(content), signal)));

    expect((await readArchivedFile([store], "main", segment, signal)).equals(content)).toBe(true);
  });

  it("belongs to the first of several clusters", async () => {
    const { store } = await archive();
    const cluster = { environment: "test", database: "main", serverMajor: 15, segmentBytes: 2 ** 24 };
    const claims = ["1", "2", "3"].map((systemIdentifier) =>
      claimArchive(store, { ...cluster, systemIdentifier }),
    );
    const settled = await Promise.allSettled(claims);

    expect(settled.filter((each) => each.status === "fulfilled")).toHaveLength(1);
    for (const each of settled)
      if (each.status === "rejected") expect(each.reason).toMatchObject({ code: "E_WAL_FOREIGN" });
  });
});
