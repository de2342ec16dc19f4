import { randomBytes } from "node:crypto";
import { z } from "zod";
import { type ObjectStore, readObject } from "../storage/object-store.ts";

/** What a drill found out, kept in the store beside the backup. Written once, never changed. */
const drillSchema = z.strictObject({
  format: z.literal("ops-drill"),
  version: z.literal(1),
  backup: z.string(),
  environment: z.string(),
  database: z.string(),
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
  const time = record.startedAt.replace(/[-:]|\.\d+/g, "");
  const name = `${drillPrefix}${record.backup}-${time}-${randomBytes(2).toString("hex")}.json`;
  await store.putIfAbsent(name, Buffer.from(`${JSON.stringify(drillSchema.parse(record), null, 2)}\n`));
}

/** The drills of one backup, or of all in the store, newest first. What is no drill record is left out. */
export async function readDrillRecords(store: ObjectStore, backup = ""): Promise<DrillRecord[]> {
  const records: DrillRecord[] = [];
  for await (const { name } of store.list(`${drillPrefix}${backup}`)) {
    const record = parsed(await readObject(store, name));
    if (record !== undefined && (backup === "" || record.backup === backup)) records.push(record);
  }
  return records.sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}

function parsed(bytes: Uint8Array): DrillRecord | undefined {
  try {
    return drillSchema.safeParse(JSON.parse(Buffer.from(bytes).toString("utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
