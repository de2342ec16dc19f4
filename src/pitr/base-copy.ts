import { Measured, type ObjectStore } from "../storage/object-store.ts";
import { corruptBase } from "../wal-archive/base-catalog.ts";
import { encodeBaseManifest, type SealedBaseManifest } from "../wal-archive/base-manifest.ts";
import { baseManifestObject } from "../wal-archive/layout.ts";

/** A base backup as it is stored, without opening it; the manifest comes last. Throws `E_BACKUP_CORRUPT`. */
export async function copyBase(
  from: ObjectStore,
  to: ObjectStore,
  { manifest }: SealedBaseManifest,
  signingKey: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const object of manifest.objects) {
    async function* original(): AsyncGenerator<Uint8Array> {
      const read = new Measured();
      yield* read.through(from.get(object.name, { signal }));
      if (read.finish().sha256 !== object.sha256) {
        throw corruptBase(manifest.id, object.name, "is not what was written: its checksum differs");
      }
    }
    await to.put(object.name, original(), { signal });
  }
  await to.putIfAbsent(
    baseManifestObject(manifest.database, manifest.id),
    encodeBaseManifest(manifest, signingKey),
  );
}
