import { z } from "zod";
import type { StoreTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { type ObjectStore, readObject, type WriteOptions } from "../storage/object-store.ts";

/** The format is written down in docs/formats/backup-hold.md. */
const holdSchema = z.strictObject({
  format: z.literal("ops-hold"),
  version: z.literal(1),
  /** The backup's id. */
  backup: z.string(),
  /** `legal`: nobody removes it. `removal`: `backup prune` has begun to remove it. */
  kind: z.enum(["legal", "removal"]),
  reason: z.string().nullable(),
  by: z.string(),
  at: z.iso.datetime(),
  run: z.string().nullable(),
});

export type Hold = z.output<typeof holdSchema>;

export const holdObject = (id: string) => `${id}/hold.json`;

/**
 * Marks a backup, durably and only once: a legal hold and a removal of the same backup exclude each other, on whatever
 * machine each of them runs. Gives back the mark that is there now, which may be another one.
 */
export async function placeHold(store: ObjectStore, hold: Hold, options?: WriteOptions): Promise<Hold> {
  const name = holdObject(hold.backup);
  const bytes = Buffer.from(`${JSON.stringify(hold, null, 2)}\n`);
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (await store.putIfAbsent(name, bytes, options)) return hold;
    } catch (error) {
      // A folder that another one removes under our hands, with the last object in it.
      if (!isMissing(error) || attempt === attempts) throw error;
    }
    const there = await readHold(store, hold.backup);
    // Undefined: it was taken away between the two.
    if (there !== undefined) return there;
  }
}

const attempts = 10;

function isMissing(error: unknown): boolean {
  return error instanceof OpsError && error.code === "E_OBJECT_MISSING";
}

/** Undefined where there is none. Throws `E_HOLD` for one that cannot be read: it still holds. */
export async function readHold(store: ObjectStore, id: string): Promise<Hold | undefined> {
  try {
    return decodeHold(id, await readObject(store, holdObject(id)));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export interface HoldMark {
  readonly kind: Hold["kind"];
  /** In words: `legal hold by ann@host since 2026-11-21: case 4711`. */
  readonly text: string;
}

/** The marks of all backups of a store, by id. One that cannot be read counts as a legal hold. */
export async function readHolds(store: ObjectStore): Promise<Map<string, HoldMark>> {
  const marks = new Map<string, HoldMark>();
  const names: string[] = [];
  for await (const { name } of store.list("")) names.push(name);
  for (const name of names) {
    const id = name.split("/")[0] ?? "";
    const mark = name === holdObject(id) ? await readMark(store, id) : undefined;
    if (mark !== undefined) marks.set(id, mark);
  }
  return marks;
}

/** Undefined where there is none. One that cannot be read counts as a legal hold. */
export async function readMark(store: ObjectStore, id: string): Promise<HoldMark | undefined> {
  try {
    const hold = await readHold(store, id);
    return hold === undefined ? undefined : { kind: hold.kind, text: describeHold(hold) };
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_HOLD")
      return { kind: "legal", text: "a legal hold that cannot be read" };
    throw error;
  }
}

/** `legal hold by ann@host since 2026-11-21: case 4711`. */
export function describeHold({ kind, by, at, reason }: Hold): string {
  const what = kind === "legal" ? "legal hold" : "removal begun";
  return `${what} by ${by} since ${at.slice(0, 10)}${reason === null ? "" : `: ${reason}`}`;
}

/**
 * A store with Object Lock would lock the mark itself for as long as a backup; it must be possible to take it away.
 * The shortest lock is asked for instead.
 */
export function holdOptions(target: StoreTarget, now: Date): WriteOptions {
  if (target.kind !== "s3" || target.objectLock === undefined) return {};
  return { retainUntil: new Date(now.getTime() + 60_000) };
}

function decodeHold(id: string, bytes: Buffer): Hold {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw unreadable(id, error);
  }
  const parsed = holdSchema.safeParse(value);
  if (!parsed.success || parsed.data.backup !== id) throw unreadable(id, parsed.error);
  return parsed.data;
}

function unreadable(id: string, cause: unknown): OpsError {
  return new OpsError("E_HOLD", `The hold of backup ${id} cannot be read`, {
    cause,
    hint: `the backup stays; when that is settled, take the hold away: ops backup release ${id}`,
    details: { id, object: holdObject(id) },
    retryable: false,
  });
}
