import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { clusterPrefix } from "./layout.ts";

/** A named moment of a cluster, kept beside its WAL: which base backup it needs is known without reading the WAL. */
const pointSchema = z.strictObject({
  format: z.literal("ops-restore-point"),
  version: z.literal(1),
  name: z.string(),
  database: z.string(),
  lsn: z.string(),
  timeline: z.int().positive(),
  /** By the server's clock. */
  madeAt: z.iso.datetime(),
  run: z.string().nullable(),
  actor: z.string(),
});

export type RestorePoint = z.output<typeof pointSchema>;

const pointPrefix = (database: string) => `${clusterPrefix(database)}point/`;
const pointObject = (database: string, name: string) => `${pointPrefix(database)}${name}.json`;

/** False where there is one of this name already. */
export async function writePoint(store: ObjectStore, point: RestorePoint): Promise<boolean> {
  const body = Buffer.from(`${JSON.stringify(pointSchema.parse(point), null, 2)}\n`);
  return store.putIfAbsent(pointObject(point.database, point.name), body);
}

/** Undefined where the archive knows none of this name. Throws `E_WAL_ARCHIVE` where its record is damaged. */
export async function findPoint(
  store: ObjectStore,
  database: string,
  name: string,
): Promise<RestorePoint | undefined> {
  try {
    return decode(store, await readObject(store, pointObject(database, name)));
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING") return undefined;
    throw error;
  }
}

/** All whose records are whole. */
export async function listPoints(store: ObjectStore, database: string): Promise<RestorePoint[]> {
  const found: RestorePoint[] = [];
  for await (const { name } of store.list(pointPrefix(database))) {
    const { data } = pointSchema.safeParse(jsonOf(await readObject(store, name)));
    if (data !== undefined && name === pointObject(database, data.name)) found.push(data);
  }
  return found;
}

function jsonOf(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString());
  } catch {
    return undefined;
  }
}

export async function removePoint(store: ObjectStore, database: string, name: string): Promise<void> {
  await store.delete(pointObject(database, name));
}

function decode(store: ObjectStore, content: Buffer): RestorePoint {
  try {
    return pointSchema.parse(JSON.parse(content.toString()));
  } catch (error) {
    throw new OpsError("E_WAL_ARCHIVE", `A restore point in ${store.location} is not what was written`, {
      cause: error,
      hint: "restore to the moment by its time or position instead: --to-time, --to-lsn",
      retryable: false,
    });
  }
}
