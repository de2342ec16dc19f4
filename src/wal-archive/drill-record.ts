import { z } from "zod";
import { listDrillObjects, parseDrillObject, writeDrillObject } from "../archive/drill-objects.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { clusterPrefix } from "./layout.ts";

/** What a drill of a cluster's archive found out, kept beside the archive. Written once, never changed. */
const drillSchema = z.strictObject({
  format: z.literal("ops-pitr-drill"),
  version: z.literal(1),
  environment: z.string(),
  database: z.string(),
  /** The base backup that it began with; null where none leads anywhere. */
  base: z.string().nullable(),
  timeline: z.int().positive().nullable(),
  /** For people: a moment, or `the end of the archive`. */
  target: z.string(),
  verdict: z.enum(["pass", "fail"]),
  /** Why it failed; null where it passed. */
  reason: z.string().nullable(),
  startedAt: z.iso.datetime(),
  /** From the first byte read to the verdict. */
  durationMs: z.number().nonnegative(),
  /** Of that: until the restored cluster answered queries. */
  recoveryTimeMs: z.number().nonnegative().nullable(),
  /** The newest commit in the archive, by the original server's clock; null where there is none near its end. */
  newestCommit: z.iso.datetime().nullable(),
  /** How old it was when the drill began: what a loss of the server at that moment would have cost at most. */
  recoveryPointMs: z.number().nonnegative().nullable(),
  /** The last transaction in the restored cluster, in its server's words. */
  lastTransaction: z.string().nullable(),
  serverVersion: z.string().nullable(),
  clusterBytes: z.number().nonnegative().nullable(),
  /** Those that could be connected to. */
  databases: z.array(z.string()),
  /** Whether pg_amcheck has read every table and index. */
  amcheck: z.boolean(),
  checks: z.array(z.strictObject({ sql: z.string(), passed: z.boolean() })),
  run: z.string().nullable(),
  actor: z.string(),
});

export type ArchiveDrill = z.output<typeof drillSchema>;

const drillPrefix = (database: string) => `${clusterPrefix(database)}drill/`;

export async function writeArchiveDrill(store: ObjectStore, record: ArchiveDrill): Promise<void> {
  const { database, base, startedAt } = record;
  const subject = base ?? "none";
  await writeDrillObject(store, drillPrefix(database), {
    subject,
    startedAt,
    content: drillSchema.parse(record),
  });
}

/** The newest drill of the cluster's archive. What is no drill record is passed over. */
export async function newestArchiveDrill(
  store: ObjectStore,
  owner: { readonly environment: string; readonly database: string },
): Promise<ArchiveDrill | undefined> {
  for (const { name } of await listDrillObjects(store, drillPrefix(owner.database))) {
    const record = parseDrillObject(drillSchema, await readObject(store, name));
    if (record?.environment === owner.environment) return record;
  }
  return undefined;
}
