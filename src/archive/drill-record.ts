import { z } from "zod";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { listDrillObjects, parseDrillObject, writeDrillObject } from "./drill-objects.ts";

/** What a drill found out, kept in the store beside the backup. Written once, never changed. */
const drillSchema = z.strictObject({
  format: z.literal("ops-drill"),
  version: z.literal(1),
  backup: z.string(),
  environment: z.string(),
  database: z.string(),
  /** Whether the backup holds the whole database. Records of before do not say. */
  whole: z.boolean().optional(),
  verdict: z.enum(["pass", "fail"]),
  /** Why it failed; null where it passed. */
  reason: z.string().nullable(),
  startedAt: z.iso.datetime(),
  /** From the first byte read to the verdict. */
  durationMs: z.number().nonnegative(),
  /** Of that: until the restored database was complete. */
  restoreMs: z.number().nonnegative().nullable(),
  serverVersion: z.string().nullable(),
  dumpBytes: z.number().nonnegative(),
  databaseBytes: z.number().nonnegative().nullable(),
  tables: z.number().nonnegative(),
  rows: z.number().nonnegative(),
  checks: z.array(z.strictObject({ sql: z.string(), passed: z.boolean() })),
  run: z.string().nullable(),
  actor: z.string(),
});

export type DrillRecord = z.output<typeof drillSchema>;

export const drillPrefix = "drills/";

export async function writeDrillRecord(store: ObjectStore, record: DrillRecord): Promise<void> {
  const { backup, startedAt } = record;
  await writeDrillObject(store, drillPrefix, {
    subject: backup,
    startedAt,
    content: drillSchema.parse(record),
  });
}

/** The backup whose drill an object of this name records; undefined for any other object. */
export function drilledBackup(object: string): string | undefined {
  return /^drills\/(.+)-\d{8}T\d{6}Z-[0-9a-f]{4}\.json$/.exec(object)?.[1];
}

/** The newest drill of the database's backups, or of those that hold all of it. What is no drill record is passed over. */
export async function newestDrill(
  store: ObjectStore,
  owner: { readonly environment: string; readonly database: string },
  of: "any" | "whole" = "any",
): Promise<DrillRecord | undefined> {
  for (const { name } of await listDrillObjects(store, drillPrefix)) {
    const record = parseDrillObject(drillSchema, await readObject(store, name));
    if (record?.environment !== owner.environment || record.database !== owner.database) continue;
    if (of === "any" || record.whole !== false) return record;
  }
  return undefined;
}
