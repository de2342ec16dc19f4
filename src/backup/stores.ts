import { z } from "zod";
import { manifestObject } from "../archive/backup-id.ts";
import { corrupt, lookUp } from "../archive/catalog.ts";
import type { NamedStore } from "../archive/fan-out.ts";
import { decodeManifest, type Manifest, type SealedManifest } from "../archive/manifest.ts";
import type { Environment, StoreTarget } from "../config/environment.ts";
import { type OpsError, UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { isLocked } from "../storage/locked.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";

export const storeFields = {
  store: name("Where the backup goes").optional(),
  stores: z
    .array(name("A store"))
    .min(1)
    .optional()
    .describe("Several stores: one dump, written to all of them"),
};

/** Throws `E_INPUT` where a store is named twice, or both fields are used. */
export function storesOf(
  environment: Environment,
  input: { readonly store?: string | undefined; readonly stores?: readonly string[] | undefined },
): StoreTarget[] {
  const { store, stores } = input;
  if (stores === undefined) return [environment.store(store)];
  if (store !== undefined) {
    throw new UsageError("E_INPUT", '"store" and "stores" exclude each other', {
      hint: `write stores: [${[store, ...stores].join(", ")}]`,
    });
  }
  const twice = stores.find((each, index) => stores.indexOf(each) !== index);
  if (twice !== undefined) throw new UsageError("E_INPUT", `The store "${twice}" is named twice`);
  return stores.map((each) => environment.store(each));
}

/** A backup's manifest in a store; undefined where there is none. Throws `E_BACKUP_CORRUPT`. */
export async function findManifest(store: ObjectStore, id: string): Promise<SealedManifest | undefined> {
  for await (const object of store.list(manifestObject(id))) {
    if (object.name !== manifestObject(id)) continue;
    const sealed = decodeManifest(await readObject(store, object.name));
    if (sealed === undefined) throw corrupt(id, object.name, "is not the manifest that was written");
    return sealed;
  }
  return undefined;
}

export interface Found {
  readonly complete: readonly (NamedStore & { readonly sealed: SealedManifest })[];
  readonly missing: readonly NamedStore[];
  /** Stores that have its manifest and not all that it promises, and what they lack. */
  readonly damaged: ReadonlyMap<string, OpsError>;
  /** Stores that could not be asked, and why. */
  readonly failures: ReadonlyMap<string, unknown>;
}

/** Which of the stores have the backup. Sizes are compared, as in the catalog. */
export async function whereIs(stores: readonly NamedStore[], id: string): Promise<Found> {
  const complete: (NamedStore & { sealed: SealedManifest })[] = [];
  const missing: NamedStore[] = [];
  const damaged = new Map<string, OpsError>();
  const failures = new Map<string, unknown>();
  for (const each of stores) {
    try {
      const entry = await lookUp(each.store, [], id);
      if (entry === undefined) missing.push(each);
      else if (entry.status === "complete") complete.push({ ...each, sealed: entry.sealed });
      else damaged.set(each.name, corrupt(id, entry.object, entry.reason));
    } catch (error) {
      failures.set(each.name, error);
    }
  }
  return { complete, missing, damaged, failures };
}

/**
 * To be asked before the manifest is written: a prune elsewhere may have taken a backup that was a day in the making for a
 * leftover. Throws `E_BACKUP_CORRUPT`.
 */
export async function assertStored(store: ObjectStore, { id, objects }: Manifest): Promise<void> {
  const there = new Map<string, number>();
  for await (const object of store.list(`${id}/`)) there.set(object.name, object.bytes);
  const lost = objects.find((each) => there.get(each.name) !== each.bytes);
  if (lost !== undefined) throw corrupt(id, lost.name, "was removed before the backup was complete");
}

/**
 * Everything of a backup that never got its manifest; of one with a manifest, the manifest first. Gives the names of the
 * objects that the store's Object Lock still holds: they stay.
 */
export async function removeBackup(store: ObjectStore, id: string): Promise<readonly string[]> {
  const locked = new Set<string>();
  const unlessLocked = async (name: string, remove: () => Promise<void>) => {
    try {
      await remove();
    } catch (error) {
      if (!isLocked(error)) throw error;
      locked.add(name);
    }
  };
  await store.delete(manifestObject(id));
  const names: string[] = [];
  for await (const object of store.list(`${id}/`)) names.push(object.name);
  for (const each of names) await unlessLocked(each, () => store.delete(each));
  for await (const left of store.unfinished(`${id}/`)) await unlessLocked(left.name, () => left.remove());
  return [...locked];
}

/** What an undo says where a store's Object Lock has kept something of what was to go. */
export function lockedNote(locked: readonly string[]): string {
  if (locked.length === 0) return "";
  const what = locked.length === 1 ? `${locked[0]} stays` : `${locked.join(", ")} stay`;
  return `; ${what} as long as Object Lock holds, then ops backup prune clears it`;
}
