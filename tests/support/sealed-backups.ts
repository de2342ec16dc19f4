import { manifestObject, objectNames } from "../../src/archive/backup-id.ts";
import { encodeManifest, type Manifest, signManifest } from "../../src/archive/manifest.ts";
import type { Sealer } from "../../src/crypto/sealer.ts";
import type { Signer } from "../../src/crypto/signature.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { compress } from "../../src/storage/zstd.ts";
import { inPieces } from "./streams.ts";

let count = 0;

/** Puts a backup of two objects into the store, encrypted for real, and gives back its manifest. */
export async function sealBackup(
  store: ObjectStore,
  sealer: Sealer,
  contents: { readonly main: Buffer; readonly table: Buffer },
  signer?: Signer,
): Promise<Manifest> {
  count += 1;
  const time = new Date(Date.UTC(2026, 10, 1, 0, count));
  const id = `${time.toISOString().replace(/[-:]|\.\d+/g, "")}-main-xxxx`;
  const names = objectNames(id, sealer.suffix);
  const put = async (name: string, content: "main" | "table", plain: Buffer) => {
    const written = await store.put(name, sealer.encrypt(compress(inPieces(plain, 50_000))));
    return { name, content, ...written, plainBytes: plain.length };
  };
  const manifest: Manifest = {
    format: "ops-backup",
    version: 2,
    id,
    kind: "logical",
    environment: "test",
    database: "main",
    source: {
      database: "main",
      serverVersion: "15.4",
      encoding: "UTF8",
      localeProvider: "libc",
      collate: "C",
      ctype: "C",
      locale: null,
    },
    startedAt: time.toISOString(),
    finishedAt: time.toISOString(),
    run: "20260101-000000-made",
    actor: "test@localhost",
    encryption: sealer.describe(),
    dumpProgram: "15.4",
    whole: true,
    dumpBytes: contents.main.length + contents.table.length,
    tables: 1,
    rows: 1,
    objects: [
      await put(names.main, "main", contents.main),
      await put(names.table(1), "table", contents.table),
    ],
  };
  const signature = signer === undefined ? undefined : signManifest(manifest, signer);
  await store.putIfAbsent(manifestObject(id), encodeManifest(manifest, signature));
  return manifest;
}
