import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import { storeSchema } from "../../../src/config/store-schema.ts";
import { storeTarget } from "../../../src/config/store-target.ts";
import { sealerFor } from "../../../src/crypto/encryption.ts";
import { openStore } from "../../../src/storage/open-store.ts";
import { archiveFile } from "../../../src/wal-archive/archive-file.ts";
import { claimArchive } from "../../../src/wal-archive/cluster.ts";
import { following } from "../../../src/wal-archive/read-file.ts";
import { opsWithPeak } from "../../support/peak.ts";

/** MiB. */
const most = 150;
const segmentBytes = 16 * 2 ** 20;

describe("the memory of reading WAL ahead", () => {
  it("stays below 150 MiB with 256 MiB of segments that do not compress", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ops-wal-memory-"));
    try {
      const identity = await generateX25519Identity();
      const keys = {
        url: `file:${folder}/store`,
        recipients: [await identityToRecipient(identity)],
        identity,
      };
      const config = join(folder, "opsrc.yaml");
      const databases = { main: { url: "postgres://nobody@127.0.0.1:1/", pitr: { store: "store" } } };
      await writeFile(config, JSON.stringify({ databases, stores: { store: keys } }));
      const target = storeTarget("store", storeSchema.parse(keys), folder);
      const store = { name: "store", store: openStore(target), sealer: await sealerFor(target) };
      const cluster = { environment: "default", database: "main", systemIdentifier: "1", serverMajor: 15 };
      await claimArchive(store.store, { ...cluster, segmentBytes });
      const first = "000000010000000000000001";
      const names = following(first, 16, segmentBytes);
      const content = randomBytes(segmentBytes);
      const { signal } = new AbortController();
      for (const file of names)
        await archiveFile([store], { database: "main", file, content, compression: 1 }, signal);
      const data = join(folder, "data");
      await mkdir(join(data, "pg_wal"), { recursive: true });
      await writeFile(join(data, "recovery.signal"), "");

      const path = join(data, "pg_wal/RECOVERYXLOG");
      const { exitCode, peak } = await opsWithPeak(["wal", "prefetch", first, path], { config, cwd: data });
      expect(exitCode).toBe(0);
      const fetched = join(data, "pg_wal/ops-spool/fetched");
      expect(await readdir(fetched)).toEqual(expect.arrayContaining(names));
      for (const each of names) expect((await readFile(join(fetched, each))).equals(content)).toBe(true);
      expect(peak).toBeLessThan(most);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 180_000);
});
