import { createHash } from "node:crypto";
import { manifestObject } from "../../src/archive/backup-id.ts";
import { encodeManifest, type Manifest } from "../../src/archive/manifest.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";

export interface StoredBackup {
  /** ISO 8601. */
  readonly at: string;
  readonly environment?: string;
  readonly database?: string;
  readonly bytes?: number;
  /** Default: true. */
  readonly whole?: boolean;
  /** Milliseconds. */
  readonly took?: number;
}

let count = 0;

/** Puts into the store what a backup leaves there, with content of no meaning; gives back its id. */
export async function storeBackup(store: ObjectStore, backup: StoredBackup): Promise<string> {
  const { environment = "test", database = "main", bytes = 10, took = 1000, whole = true } = backup;
  const startedAt = new Date(backup.at);
  count += 1;
  const suffix = count
    .toString(36)
    .padStart(4, "0")
    .replaceAll(/[01lo]/g, "z");
  const id = `${startedAt.toISOString().replace(/[-:]|\.\d+/g, "")}-${database}-${suffix}`;
  const content = Buffer.alloc(bytes, "x");
  const name = `${id}/dump.zst.age`;
  await store.put(name, one(content));
  const manifest: Manifest = {
    format: "ops-backup",
    version: 2,
    id,
    kind: "logical",
    environment,
    database,
    source: {
      database,
      serverVersion: "15.4",
      encoding: "UTF8",
      localeProvider: "libc",
      collate: "C",
      ctype: "C",
      locale: null,
    },
    startedAt: startedAt.toISOString(),
    finishedAt: new Date(startedAt.getTime() + took).toISOString(),
    run: "20260101-000000-made",
    actor: "test@localhost",
    encryption: { method: "age", recipients: ["age1example"] },
    dumpProgram: "15.4",
    dumpBytes: bytes * 4,
    whole,
    tables: 1,
    rows: bytes,
    objects: [
      {
        name,
        content: "main",
        bytes,
        sha256: createHash("sha256").update(content).digest("hex"),
        plainBytes: bytes * 4,
      },
    ],
  };
  await store.putIfAbsent(manifestObject(id), encodeManifest(manifest));
  return id;
}

async function* one(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}
