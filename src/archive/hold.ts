import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";

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
export async function placeHold(store: ObjectStore, hold: Hold): Promise<Hold> {
  const name = holdObject(hold.backup);
  for (;;) {
    if (await store.putIfAbsent(name, Buffer.from(`${JSON.stringify(hold, null, 2)}\n`))) return hold;
    const there = await readHold(store, hold.backup);
    // Undefined: it was taken away between the two.
    if (there !== undefined) return there;
  }
}

/** Undefined where there is none. Throws `E_HOLD` for one that cannot be read: it still holds. */
export async function readHold(store: ObjectStore, id: string): Promise<Hold | undefined> {
  try {
    return decodeHold(id, await readObject(store, holdObject(id)));
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING") return undefined;
    throw error;
  }
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
