import { Measured, type ObjectStore } from "../storage/object-store.ts";
import { manifestObject } from "./backup-id.ts";
import { corrupt } from "./catalog.ts";
import { encodeManifest, type ManifestObject, type SealedManifest } from "./manifest.ts";

/**
 * Copies a backup as it is stored, without opening it; the manifest comes last. Every byte is compared with the
 * manifest on the way: throws `E_BACKUP_CORRUPT` where the original is damaged, and the copy does not exist then.
 * Called again after a crash, or over a damaged copy, it copies only what is not there as it should be.
 *
 * @param manifestThere what becomes of a manifest that the copy has already
 */
export async function copyObjects(
  from: ObjectStore,
  to: ObjectStore,
  { manifest, signature }: SealedManifest,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => undefined,
  manifestThere: "stays" | "is replaced" = "stays",
): Promise<void> {
  const there = new Map<string, number>();
  for await (const object of to.list(`${manifest.id}/`)) there.set(object.name, object.bytes);
  for (const object of manifest.objects) {
    if (there.get(object.name) === object.bytes && (await isStored(to, object))) {
      onBytes(object.bytes);
      continue;
    }
    const read = new Measured();
    async function* original(): AsyncGenerator<Uint8Array> {
      for await (const chunk of read.through(from.get(object.name))) {
        onBytes(chunk.length);
        yield chunk;
      }
      const { bytes, sha256 } = read.finish();
      if (bytes !== object.bytes || sha256 !== object.sha256) {
        throw corrupt(manifest.id, object.name, "is not what was written: its checksum differs");
      }
    }
    await to.put(object.name, original(), { signal });
  }
  const bytes = encodeManifest(manifest, signature);
  if (manifestThere === "is replaced") await to.replace(manifestObject(manifest.id), bytes);
  else await to.putIfAbsent(manifestObject(manifest.id), bytes);
}

/**
 * The size says too little: an attempt at the same backup that was killed has left objects of these names and sizes,
 * encrypted with other data keys.
 */
async function isStored(store: ObjectStore, object: ManifestObject): Promise<boolean> {
  const read = new Measured();
  for await (const _ of read.through(store.get(object.name))) {
    // Only measured.
  }
  const { bytes, sha256 } = read.finish();
  return bytes === object.bytes && sha256 === object.sha256;
}
