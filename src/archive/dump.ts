import type { StoreTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { decrypt } from "../crypto/age.ts";
import { Measured, type ObjectStore } from "../storage/object-store.ts";
import { decompress } from "../storage/zstd.ts";
import { corrupt } from "./catalog.ts";
import type { Manifest } from "./manifest.ts";

/** The private key that opens a store's backups. Throws `E_IDENTITY` where none is configured. */
export async function identityOf(target: StoreTarget): Promise<string> {
  if (target.identity === undefined) {
    throw new UsageError("E_IDENTITY", `The store ${target.name} has no identity to open its backups with`, {
      hint: `add "identity: file:PATH" (or env:NAME) to the store ${target.name} in .opsrc`,
    });
  }
  return target.identity.reveal();
}

/**
 * The dump inside a backup, decrypted and decompressed as it streams. The iteration ends without an error only if
 * every stored byte is as the manifest says; otherwise `E_BACKUP_CORRUPT` names the object. `E_IDENTITY` is thrown
 * only for an undamaged object: a damaged header would look like a wrong key.
 */
export async function* readDump(
  store: ObjectStore,
  manifest: Manifest,
  identity: string,
): AsyncGenerator<Uint8Array> {
  const [object] = manifest.objects;
  if (object === undefined) throw corrupt(manifest.id, "manifest.json", "names no object");
  const stored = new Measured();
  const plain = new Measured();
  try {
    yield* plain.through(decompress(decrypt(stored.through(store.get(object.name)), identity)));
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "E_OBJECT_MISSING") throw corrupt(manifest.id, object.name, "is missing");
    if (!["E_IDENTITY", "E_DECRYPT", "E_DECOMPRESS"].includes(error.code)) throw error;
    await verifyChecksums(store, manifest);
    if (error.code === "E_IDENTITY") throw error;
    throw corrupt(manifest.id, object.name, `cannot be opened: ${error.message}`);
  }
  const { bytes, sha256 } = stored.finish();
  if (bytes !== object.bytes || sha256 !== object.sha256) {
    throw corrupt(manifest.id, object.name, "is not what was written: its checksum differs");
  }
  if (plain.bytes !== manifest.dumpBytes) {
    throw corrupt(manifest.id, object.name, `holds ${plain.bytes} bytes instead of ${manifest.dumpBytes}`);
  }
}

/** Reads every object as it is stored. Throws `E_BACKUP_CORRUPT` at the first that differs from the manifest. */
async function verifyChecksums(store: ObjectStore, manifest: Manifest): Promise<void> {
  for (const { name, bytes, sha256 } of manifest.objects) {
    const stored = new Measured();
    for await (const _ of stored.through(store.get(name))) {
      // Only measured.
    }
    const found = stored.finish();
    if (found.bytes !== bytes || found.sha256 !== sha256) {
      throw corrupt(manifest.id, name, "is not what was written: its checksum differs");
    }
  }
}
