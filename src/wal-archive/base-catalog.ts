import { isBackupId, timeOfId } from "../archive/backup-id.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import type { Opener } from "../crypto/encryption.ts";
import { Measured, type ObjectStore, readObject } from "../storage/object-store.ts";
import { released } from "../storage/released.ts";
import { decompress } from "../storage/zstd.ts";
import { withBrokenChains } from "./base-chain.ts";
import {
  type BaseManifest,
  type BaseObject,
  decodeBaseManifest,
  type SealedBaseManifest,
  trustedBaseSigner,
} from "./base-manifest.ts";
import { baseManifestObject, basePrefix } from "./layout.ts";

/** A base backup of the store: whole, or with a manifest but not what the manifest promises. */
export type BaseEntry =
  | { readonly id: string; readonly status: "complete"; readonly sealed: SealedBaseManifest }
  | { readonly id: string; readonly status: "broken"; readonly reason: string };

/**
 * Everything of the cluster that has a manifest, newest first; sizes are compared with it. What has none is being made,
 * or was never finished. An incremental one is broken where one that it is based on is missing or broken.
 */
export async function readBaseCatalog(
  store: ObjectStore,
  database: string,
  trustedSigners: readonly string[],
): Promise<BaseEntry[]> {
  const prefix = basePrefix(database);
  const sizes = new Map<string, number>();
  for await (const object of store.list(prefix)) sizes.set(object.name, object.bytes);
  const ids = [...sizes.keys()].flatMap((name) => {
    const id = name.slice(prefix.length).split("/")[0] ?? "";
    return isBackupId(id) && name === baseManifestObject(database, id) ? [id] : [];
  });
  const entries: BaseEntry[] = [];
  for (const id of ids) {
    const entry = await readEntry(store, database, id, sizes, trustedSigners);
    if (entry !== undefined) entries.push(entry);
  }
  return withBrokenChains(entries.sort(newestFirst));
}

/** Ids tell whole seconds; of two in the same second the later end decides. */
function newestFirst(one: BaseEntry, other: BaseEntry): number {
  const [second, otherSecond] = [one.id, other.id].map((id) => timeOfId(id)?.getTime() ?? 0);
  const end = (each: BaseEntry) =>
    each.status === "complete" ? Date.parse(each.sealed.manifest.stoppedAt) : 0;
  return (otherSecond ?? 0) - (second ?? 0) || end(other) - end(one) || (other.id < one.id ? -1 : 1);
}

/** The whole ones among them, newest first. */
export function wholeBases(entries: readonly BaseEntry[]): BaseManifest[] {
  return entries.flatMap((each) => (each.status === "complete" ? [each.sealed.manifest] : []));
}

/** A base backup's manifest; undefined where the store has none. Throws `E_BACKUP_CORRUPT`. */
export async function findBaseManifest(
  store: ObjectStore,
  database: string,
  id: string,
): Promise<SealedBaseManifest | undefined> {
  const object = baseManifestObject(database, id);
  const content = await unlessMissing(() => readObject(store, object));
  if (content === undefined) return undefined;
  const sealed = decodeBaseManifest(content);
  if (sealed === undefined || sealed.manifest.id !== id) {
    throw corruptBase(id, object, "is not the manifest that was written");
  }
  return sealed;
}

/** As `findBaseManifest`, and it must be there and be signed by whom is trusted. Throws `E_BACKUP_MISSING`. */
export async function requireBase(
  store: ObjectStore,
  database: string,
  id: string,
  trustedSigners: readonly string[],
): Promise<BaseManifest> {
  const sealed = await findBaseManifest(store, database, id);
  if (sealed === undefined) {
    throw new UsageError("E_BACKUP_MISSING", `${store.location} has no base backup "${id}" of ${database}`, {
      hint: `see what there is with: ops pitr base list --database ${database}`,
    });
  }
  const unsigned = whyUntrusted(sealed, trustedSigners);
  if (unsigned !== undefined) throw corruptBase(id, baseManifestObject(database, id), unsigned);
  return sealed.manifest;
}

/**
 * An object of a base backup, decrypted and decompressed as it streams. Ends without an error only if every stored byte
 * is as the manifest says; otherwise `E_BACKUP_CORRUPT`. `E_IDENTITY` is thrown only for an undamaged object.
 */
export async function* readBaseObject(
  store: ObjectStore,
  id: string,
  object: BaseObject,
  opener: Opener,
): AsyncGenerator<Uint8Array> {
  const stored = new Measured();
  let plainBytes = 0;
  try {
    const read = released(stored.through(store.get(object.name)));
    for await (const chunk of decompress(released(opener.decrypt(read)))) {
      plainBytes += chunk.length;
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "E_OBJECT_MISSING") throw corruptBase(id, object.name, "is missing");
    if (!["E_IDENTITY", "E_DECRYPT", "E_DECOMPRESS"].includes(error.code)) throw error;
    // A damaged header looks like a wrong key: what is stored decides.
    const whole = new Measured();
    for await (const _ of whole.through(store.get(object.name)));
    if (whole.finish().sha256 !== object.sha256)
      throw corruptBase(id, object.name, "is not what was written");
    if (error.code === "E_IDENTITY") throw error;
    throw corruptBase(id, object.name, `cannot be opened: ${error.message}`);
  }
  const { bytes, sha256 } = stored.finish();
  if (bytes !== object.bytes || sha256 !== object.sha256) {
    throw corruptBase(id, object.name, "is not what was written: its checksum differs");
  }
  if (plainBytes !== object.plainBytes) {
    throw corruptBase(id, object.name, `holds ${plainBytes} bytes instead of ${object.plainBytes}`);
  }
}

/** Everything of a base backup, the manifest first. */
export async function removeBase(store: ObjectStore, database: string, id: string): Promise<void> {
  await store.delete(baseManifestObject(database, id));
  const prefix = `${basePrefix(database)}${id}/`;
  const names: string[] = [];
  for await (const object of store.list(prefix)) names.push(object.name);
  for (const each of names) await store.delete(each);
  for await (const left of store.unfinished(prefix)) await left.remove();
}

export function corruptBase(id: string, object: string, reason: string): OpsError {
  return new OpsError("E_BACKUP_CORRUPT", `Base backup ${id} is damaged: ${object} ${reason}`, {
    hint: "restore from another one (--base ID; see: ops pitr base list), and make a new one: ops pitr base create",
    details: { id, object },
    retryable: false,
  });
}

async function readEntry(
  store: ObjectStore,
  database: string,
  id: string,
  sizes: ReadonlyMap<string, number>,
  trustedSigners: readonly string[],
): Promise<BaseEntry | undefined> {
  const content = await unlessMissing(() => readObject(store, baseManifestObject(database, id)));
  if (content === undefined) return undefined;
  const broken = (reason: string) => ({ id, status: "broken", reason }) as const;
  const sealed = decodeBaseManifest(content);
  if (sealed === undefined || sealed.manifest.id !== id) {
    return broken("manifest.json is not the manifest that was written");
  }
  const unsigned = whyUntrusted(sealed, trustedSigners);
  if (unsigned !== undefined) return broken(`manifest.json ${unsigned}`);
  for (const { name, bytes } of sealed.manifest.objects) {
    const size = sizes.get(name);
    if (size === undefined) return broken(`${name} is missing`);
    if (size !== bytes) return broken(`${name} has ${size} bytes instead of ${bytes}`);
  }
  return { id, status: "complete", sealed };
}

function whyUntrusted(sealed: SealedBaseManifest, trustedSigners: readonly string[]): string | undefined {
  if (trustedSigners.length === 0 || trustedBaseSigner(sealed, trustedSigners) !== undefined)
    return undefined;
  return sealed.signature === undefined ? "is not signed" : "is not signed by a trusted signer";
}

async function unlessMissing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING") return undefined;
    throw error;
  }
}
