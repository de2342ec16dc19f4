import { isLocked } from "../storage/locked.ts";
import type { ObjectStore, StoredObject, UnfinishedWrite } from "../storage/object-store.ts";
import { databaseOfId, isBackupId, manifestObject, timeOfId } from "./backup-id.ts";
import { drilledBackup, drillPrefix } from "./drill-record.ts";
import { holdObject, readMark } from "./hold.ts";

/** What is stored under a backup's id and is of no use: there is no manifest, or it is a write that never ended. */
export interface Leftover {
  readonly id: string;
  readonly database: string | undefined;
  /** Names of whole objects; empty where only unfinished writes are left over. */
  readonly objects: readonly string[];
  /** Of the whole objects; a store does not tell the size of an unfinished write. */
  readonly bytes: number;
  readonly unfinished: number;
  /** Something may still be writing it: why it is left alone. Undefined where it can go. */
  readonly busy: string | undefined;
}

export interface LeftoverLimits {
  readonly now: Date;
  /** Milliseconds without a sign of life after which nothing writes any more, on whatever machine. */
  readonly quietFor: number;
  /** Ids of backups that a living run works with, and that run. */
  readonly atWork: ReadonlyMap<string, string>;
}

/**
 * What killed backups, copies and prunes left, oldest first. The signs of life are the time in the id and the beginning
 * of each unfinished write: a backup on another machine is known by nothing else. What a removal that was cut short left
 * can go at once, and what is under legal hold stays.
 */
export async function findLeftovers(store: ObjectStore, limits: LeftoverLimits): Promise<Leftover[]> {
  // In this order: a write that ends in between is then seen twice, not never.
  const unfinished = byId(
    await collect(store.unfinished("")),
    (name) => drilledBackup(name) ?? folderOf(name),
  );
  const objects = byId(await collect(store.list("")), folderOf);
  const found: Leftover[] = [];
  for (const id of [...new Set([...objects.keys(), ...unfinished.keys()])].sort()) {
    const whole = objects.get(id) ?? [];
    const open = unfinished.get(id) ?? [];
    const isBackup = whole.some((each) => each.name === manifestObject(id));
    if (isBackup && open.length === 0) continue;
    const own = isBackup ? [] : whole;
    found.push({
      id,
      database: databaseOfId(id),
      objects: own.map((each) => each.name),
      bytes: own.reduce((sum, each) => sum + each.bytes, 0),
      unfinished: open.length,
      busy: await whyBusy(store, id, own, open, limits),
    });
  }
  return found;
}

async function whyBusy(
  store: ObjectStore,
  id: string,
  objects: readonly StoredObject[],
  unfinished: readonly UnfinishedWrite[],
  { now, quietFor, atWork }: LeftoverLimits,
): Promise<string | undefined> {
  const run = atWork.get(id);
  if (run !== undefined) return `run ${run} works with it`;
  if (objects.some((each) => each.name === holdObject(id))) {
    const mark = await readMark(store, id);
    if (mark?.kind === "legal") return mark.text;
    // Its manifest was there when the removal began, and is gone: nobody can be writing it.
    if (mark?.kind === "removal") return undefined;
  }
  const started = objects.length > 0 ? (timeOfId(id)?.getTime() ?? 0) : 0;
  const alive = Math.max(started, ...unfinished.map((each) => each.startedAt.getTime()));
  // None at all is none at all, also where the clock of the store is ahead of ours.
  return quietFor > 0 && now.getTime() - alive < quietFor ? "a backup may still be writing it" : undefined;
}

/** Takes a leftover away. Gives the reason where it stays: it has become a backup meanwhile, or the store locks it. */
export async function clearLeftover(store: ObjectStore, leftover: Leftover): Promise<string | undefined> {
  const { id } = leftover;
  if (leftover.objects.length > 0) {
    const manifests = await collect(store.list(manifestObject(id)));
    if (manifests.some((each) => each.name === manifestObject(id))) return "it has become a backup meanwhile";
  }
  try {
    for (const prefix of [`${id}/`, `${drillPrefix}${id}-`]) {
      for (const each of await collect(store.unfinished(prefix))) await each.remove();
    }
    if (leftover.objects.length > 0) await removeObjects(store, id);
    return undefined;
  } catch (error) {
    if (isLocked(error)) return stillLocked;
    throw error;
  }
}

export const stillLocked = "the store still locks it (Object Lock)";

/**
 * Every object of an id that has no manifest any more; the mark of its removal last, so that a crash leaves it. The lock
 * of the mark itself ends within a minute: the next prune clears it.
 */
export async function removeObjects(store: ObjectStore, id: string): Promise<void> {
  const names = (await collect(store.list(`${id}/`))).map((each) => each.name);
  if (names.includes(manifestObject(id))) {
    throw new Error(`the objects of backup ${id} were to be removed while it has a manifest`);
  }
  for (const name of names.filter((each) => each !== holdObject(id))) await store.delete(name);
  for (const each of await collect(store.unfinished(`${id}/`))) await each.remove();
  await withdrawMark(store, id);
}

/** Where the store still locks the mark, the next prune withdraws it. */
export async function withdrawMark(store: ObjectStore, id: string): Promise<void> {
  try {
    await store.delete(holdObject(id));
  } catch (error) {
    if (!isLocked(error)) throw error;
  }
}

const folderOf = (name: string) => name.split("/")[0] ?? "";

function byId<T extends { readonly name: string }>(
  all: readonly T[],
  idOf: (name: string) => string,
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    const id = idOf(each.name);
    if (isBackupId(id)) groups.set(id, [...(groups.get(id) ?? []), each]);
  }
  return groups;
}

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of all) found.push(each);
  return found;
}
