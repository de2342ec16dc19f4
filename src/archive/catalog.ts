import { OpsError, UsageError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { databaseOfId, isBackupId, manifestObject, timeOfId } from "./backup-id.ts";
import { decodeManifest, type Manifest, type SealedManifest, trustedSigner } from "./manifest.ts";

/** A backup of the store: whole, or with a manifest but not what the manifest promises. */
export type CatalogEntry =
  | {
      readonly id: string;
      readonly status: "complete";
      readonly manifest: Manifest;
      readonly sealed: SealedManifest;
    }
  | { readonly id: string; readonly status: "broken"; readonly reason: string; readonly object: string };

/** Whose backups: a database target of an environment. Two environments may share a store. */
export interface Owner {
  readonly environment: string;
  readonly database: string;
}

/**
 * Everything that has a manifest, newest first. What has none (a backup that is being made, or the rest of one that
 * was killed) does not exist here. Sizes are compared with the manifest; checksums are `verify`'s work.
 *
 * @param trustedSigners public keys, of which one must have signed; none: signatures are not asked for
 */
export async function readCatalog(
  store: ObjectStore,
  trustedSigners: readonly string[],
): Promise<CatalogEntry[]> {
  return readEntries(store, "", trustedSigners);
}

/** Manifests that are asked for at the same time: a store on S3 takes tens of milliseconds for each. */
const atOnce = 16;

/** Of the backups whose objects' names begin with the prefix. */
async function readEntries(
  store: ObjectStore,
  prefix: string,
  trustedSigners: readonly string[],
): Promise<CatalogEntry[]> {
  const sizes = new Map<string, number>();
  for await (const object of store.list(prefix)) sizes.set(object.name, object.bytes);
  const ids = [...sizes.keys()].flatMap((name) => {
    const id = name.split("/")[0] ?? "";
    return isBackupId(id) && name === manifestObject(id) ? [id] : [];
  });
  const entries = await inParallel(ids, atOnce, new AbortController().signal, (id) =>
    unlessGone(manifestObject(id), () => readEntry(store, id, sizes, trustedSigners)),
  );
  return entries.filter((each) => each !== undefined).sort(newestFirst);
}

/** Ids tell whole seconds; of two that began in the same one, the manifests' milliseconds decide. */
function newestFirst(one: CatalogEntry, other: CatalogEntry): number {
  const began = (each: CatalogEntry) =>
    each.status === "complete" ? Date.parse(each.manifest.startedAt) : (timeOfId(each.id)?.getTime() ?? 0);
  const second = (each: CatalogEntry) => timeOfId(each.id)?.getTime() ?? 0;
  return second(other) - second(one) || began(other) - began(one) || (other.id < one.id ? -1 : 1);
}

/**
 * By its id, or `latest`: the newest that counts (`withoutParts`). Throws `E_BACKUP_MISSING` where the id is not in the store and `E_BACKUP_CORRUPT` where it is
 * broken; a broken newest backup is never passed over in silence for an older one.
 */
export async function findBackup(
  store: ObjectStore,
  trustedSigners: readonly string[],
  wanted: string,
  ownerOfLatest: () => Owner,
): Promise<SealedManifest> {
  if (wanted !== "latest") return whole(await findEntry(store, trustedSigners, wanted));
  const catalog = await readCatalog(store, trustedSigners);
  const owner = ownerOfLatest();
  const [newest] = withoutParts(
    catalog.filter((each) => belongsTo(each, owner)),
    isPart,
  );
  if (newest === undefined) {
    throw new UsageError(
      "E_BACKUP_MISSING",
      `${store.location} has no backup of database ${owner.database} (environment ${owner.environment})`,
      { hint: `make one with: ops backup create --database ${owner.database}` },
    );
  }
  return whole(newest);
}

/** By its id, whole or broken; undefined where the store has no manifest of it. */
export async function lookUp(
  store: ObjectStore,
  trustedSigners: readonly string[],
  id: string,
): Promise<CatalogEntry | undefined> {
  const [entry] = isBackupId(id) ? await readEntries(store, `${id}/`, trustedSigners) : [];
  return entry;
}

/** As `lookUp`. Throws `E_BACKUP_MISSING` where there is none. */
export async function findEntry(
  store: ObjectStore,
  trustedSigners: readonly string[],
  id: string,
): Promise<CatalogEntry> {
  const entry = await lookUp(store, trustedSigners, id);
  if (entry !== undefined) return entry;
  throw new UsageError("E_BACKUP_MISSING", `${store.location} has no backup "${id}"`, {
    hint: "see what there is with: ops backup list",
  });
}

/** A broken manifest no longer says whose it is, so its id decides and every environment sees it. */
export function belongsTo(entry: CatalogEntry, owner: Owner): boolean {
  if (entry.status === "broken") return databaseOfId(entry.id) === owner.database;
  return entry.manifest.database === owner.database && entry.manifest.environment === owner.environment;
}

/** Whether it holds only some of the schemas and tables, or of their rows. */
export function isPart(entry: CatalogEntry): boolean {
  return entry.status === "complete" && !entry.manifest.whole;
}

/**
 * The backups of one database that count: a backup of a part stands in for no backup of the whole database. Where there
 * is none of the whole, those of parts count.
 */
export function withoutParts<T extends { readonly status: "complete" | "broken" }>(
  backups: readonly T[],
  isPart: (each: T) => boolean,
): readonly T[] {
  const others = backups.filter((each) => !isPart(each));
  return others.some((each) => each.status === "complete") ? others : backups;
}

/** The sum of a backup's objects. */
export function storedBytes(manifest: Manifest): number {
  return manifest.objects.reduce((sum, each) => sum + each.bytes, 0);
}

export function corrupt(id: string, object: string, reason: string, cause?: unknown): OpsError {
  return new OpsError("E_BACKUP_CORRUPT", `Backup ${id} is damaged: ${object} ${reason}`, {
    cause,
    hint: "do not rely on it: make a new one with: ops backup create; see older ones with: ops backup list",
    details: { id, object },
    retryable: false,
  });
}

function whole(entry: CatalogEntry): SealedManifest {
  if (entry.status === "broken") throw corrupt(entry.id, entry.object, entry.reason);
  return entry.sealed;
}

/** A backup whose manifest is removed while the store is read is none any more. */
async function unlessGone<T>(object: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING" && error.message.includes(object))
      return undefined;
    throw error;
  }
}

async function readEntry(
  store: ObjectStore,
  id: string,
  sizes: ReadonlyMap<string, number>,
  trustedSigners: readonly string[],
): Promise<CatalogEntry> {
  const object = manifestObject(id);
  const sealed = decodeManifest(await readObject(store, object));
  if (sealed === undefined || sealed.manifest.id !== id) {
    return { id, status: "broken", object, reason: "is not the manifest that was written" };
  }
  const { manifest } = sealed;
  if (trustedSigners.length > 0 && trustedSigner(sealed, trustedSigners) === undefined) {
    const reason = sealed.signature === undefined ? "is not signed" : "is not signed by a trusted signer";
    return { id, status: "broken", object, reason };
  }
  for (const { name, bytes } of manifest.objects) {
    const size = sizes.get(name);
    if (size === undefined) return { id, status: "broken", object: name, reason: "is missing" };
    if (size !== bytes) {
      return { id, status: "broken", object: name, reason: `has ${size} bytes instead of ${bytes}` };
    }
  }
  return { id, status: "complete", manifest, sealed };
}
