import { OpsError } from "../core/errors.ts";
import type { Opener } from "../crypto/encryption.ts";
import { BufferCollection } from "../storage/buffer-collection.ts";
import { Measured, type ObjectStore } from "../storage/object-store.ts";
import { decompress } from "../storage/zstd.ts";
import { corrupt } from "./catalog.ts";
import type { Manifest, ManifestObject } from "./manifest.ts";

/** A backup and what it takes to read it. */
export interface ReadableBackup {
  readonly store: ObjectStore;
  readonly manifest: Manifest;
  readonly opener: Opener;
  /** A trusted signer vouches for the manifest, so nothing that is not exactly what it names may reach a program. */
  readonly signed: boolean;
}

/**
 * An object of a backup, decrypted and decompressed as it streams. The iteration ends without an error only if
 * every stored byte is as the manifest says; otherwise `E_BACKUP_CORRUPT` names the object. `E_IDENTITY` is thrown
 * only for an undamaged object: a damaged header would look like a wrong key.
 */
export async function* readPlain(
  { store, manifest, opener }: ReadableBackup,
  object: ManifestObject,
): AsyncGenerator<Uint8Array> {
  const stored = new Measured();
  const memory = new BufferCollection();
  let plainBytes = 0;
  try {
    for await (const chunk of decompress(opener.decrypt(stored.through(store.get(object.name))))) {
      plainBytes += chunk.length;
      memory.passed(chunk.length);
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "E_OBJECT_MISSING") throw corrupt(manifest.id, object.name, "is missing");
    if (!["E_IDENTITY", "E_DECRYPT", "E_DECOMPRESS"].includes(error.code)) throw error;
    await verifyStored(store, manifest, object);
    if (error.code === "E_IDENTITY") throw error;
    throw corrupt(manifest.id, object.name, `cannot be opened: ${error.message}`);
  }
  const { bytes, sha256 } = stored.finish();
  if (bytes !== object.bytes || sha256 !== object.sha256) {
    throw corrupt(manifest.id, object.name, "is not what was written: its checksum differs");
  }
  if (plainBytes !== object.plainBytes) {
    throw corrupt(manifest.id, object.name, `holds ${plainBytes} bytes instead of ${object.plainBytes}`);
  }
}

/** Reads an object as it is stored. Throws `E_BACKUP_CORRUPT` where it differs from the manifest. */
export async function verifyStored(
  store: ObjectStore,
  manifest: Manifest,
  object: ManifestObject,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<void> {
  const stored = new Measured();
  try {
    for await (const chunk of stored.through(store.get(object.name))) onBytes(chunk.length);
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "E_OBJECT_MISSING") throw error;
    throw corrupt(manifest.id, object.name, "is missing");
  }
  const found = stored.finish();
  if (found.bytes !== object.bytes || found.sha256 !== object.sha256) {
    throw corrupt(manifest.id, object.name, "is not what was written: its checksum differs");
  }
}

/**
 * What is loaded is compared with the manifest as it streams, and what is not (roles, contents) here. Of a signed
 * backup everything is compared before anything is made of it: an archive that somebody put in the place of another
 * would otherwise be run up to its end before that is seen.
 *
 * @param archives names of the objects that are going to be loaded; undefined: all
 */
export async function verifyBeforeLoading(
  { store, manifest, signed }: ReadableBackup,
  archives: ReadonlySet<string> | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const object of manifest.objects) {
    signal.throwIfAborted();
    const isLoaded = object.content === "main" || object.content === "table";
    const isWanted = object.content !== "table" || archives === undefined || archives.has(object.name);
    if (isWanted && (signed || !isLoaded)) await verifyStored(store, manifest, object);
  }
}

/** The archive with the schema, and the rows of every table that has no archive of its own. */
export function mainObject(manifest: Manifest): ManifestObject {
  const main = manifest.objects.find((each) => each.content === "main");
  if (main === undefined) throw corrupt(manifest.id, "manifest.json", "names no main object");
  return main;
}
