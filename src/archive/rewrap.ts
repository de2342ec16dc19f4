import { createHash } from "node:crypto";
import type { Opener } from "../crypto/encryption.ts";
import { rewrap } from "../crypto/encryption.ts";
import type { EncryptionRecord, Sealer } from "../crypto/sealer.ts";
import { isLocked } from "../storage/locked.ts";
import { Measured, type ObjectStore, type Written } from "../storage/object-store.ts";
import { manifestObject } from "./backup-id.ts";
import { corrupt } from "./catalog.ts";
import { encodeManifest, type Manifest, type ManifestObject, type ManifestSignature } from "./manifest.ts";

/** An object under its new name. */
export interface RewrappedObject extends Written {
  readonly name: string;
}

/** How one backup comes to other keys, and where the work has got to. */
export interface Rewrapping {
  readonly opener: Opener;
  readonly sealer: Sealer;
  /** The signature of the new manifest; undefined for one that was not signed. */
  sign(manifest: Manifest): ManifestSignature | undefined;
  readonly signal: AbortSignal;
  /** Objects of this backup that an attempt before this one has written. */
  readonly written: readonly RewrappedObject[];
  /** Keeps what is written by now, durably. */
  keep(written: readonly RewrappedObject[]): Promise<void>;
  onBytes(bytes: number): void;
}

/**
 * Encrypts a backup to other keys: each object under a new name, then the manifest in one step, so that a crash at any
 * point leaves the whole backup under one of the two manifests. The former objects stay until `removeFormer`. Every
 * byte is compared with the manifest on the way. Throws `E_IDENTITY`, and `E_BACKUP_CORRUPT` where it is damaged;
 * nothing is changed then.
 */
export async function rewrapBackup(
  store: ObjectStore,
  manifest: Manifest,
  work: Rewrapping,
): Promise<Manifest> {
  const there = new Map<string, number>();
  for await (const object of store.list(`${manifest.id}/`)) there.set(object.name, object.bytes);
  const encryption = work.sealer.describe();
  const objects: ManifestObject[] = [];
  for (const object of manifest.objects) {
    work.signal.throwIfAborted();
    const name = newName(object, encryption, work.sealer.suffix);
    const before = work.written.find((each) => each.name === name);
    if (before !== undefined && there.get(name) === before.bytes) {
      objects.push({ ...object, ...before });
      work.onBytes(object.bytes);
      continue;
    }
    const original = checked(store, manifest, object, work.onBytes);
    const written = await store.put(name, rewrap(original, work.opener, work.sealer), {
      signal: work.signal,
    });
    objects.push({ ...object, name, ...written });
    await work.keep(objects.map(({ name: each, bytes, sha256 }) => ({ name: each, bytes, sha256 })));
  }
  const renewed: Manifest = { ...manifest, encryption, objects };
  await store.replace(manifestObject(manifest.id), encodeManifest(renewed, work.sign(renewed)));
  return renewed;
}

export interface Removal {
  readonly removed: readonly string[];
  /** What the store's Object Lock still holds: the former keys open it until then. */
  readonly locked: readonly string[];
}

/**
 * Removes the objects that a manifest has no use for any more: those it had before it was wrapped again, and what a
 * killed attempt at that left. Nobody else may be wrapping this backup.
 */
export async function removeFormer(store: ObjectStore, manifest: Manifest): Promise<Removal> {
  const used = new Set(manifest.objects.map((each) => each.name));
  const stems = new Set([...used].map(stemOf));
  const names: string[] = [];
  for await (const { name } of store.list(`${manifest.id}/`)) names.push(name);
  const former = names.filter((each) => !used.has(each) && objectName.test(each) && stems.has(stemOf(each)));
  const locked: string[] = [];
  for (const name of former) {
    try {
      await store.delete(name);
    } catch (error) {
      if (!isLocked(error)) throw error;
      locked.push(name);
    }
  }
  return { removed: former.filter((each) => !locked.includes(each)), locked };
}

/** `dump.zst.age`, and `dump.zst.3f2a9c01.age` after it was wrapped again. */
const objectName = /^(.+?)(?:\.[0-9a-f]{8})?\.(?:age|aes)$/;

function stemOf(name: string): string {
  return objectName.exec(name)?.[1] ?? name;
}

/** Another name for other keys and for another original; the same one when an attempt is repeated. */
function newName({ name, sha256 }: ManifestObject, encryption: EncryptionRecord, suffix: string): string {
  const tag = createHash("sha256")
    .update(JSON.stringify([encryption, sha256]))
    .digest("hex")
    .slice(0, 8);
  return `${stemOf(name)}.${tag}${suffix}`;
}

/** The stored object; ends without an error only where it is as the manifest says. */
async function* checked(
  store: ObjectStore,
  { id }: Manifest,
  object: ManifestObject,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const read = new Measured();
  for await (const chunk of read.through(store.get(object.name))) {
    onBytes(chunk.length);
    yield chunk;
  }
  const { bytes, sha256 } = read.finish();
  if (bytes !== object.bytes || sha256 !== object.sha256) {
    throw corrupt(id, object.name, "is not what was written: its checksum differs");
  }
}
