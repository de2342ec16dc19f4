import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { clusterObject } from "./layout.ts";
import { isSegmentSize } from "./segment.ts";

const clusterSchema = z.strictObject({
  format: z.literal("ops-wal-archive"),
  version: z.literal(1),
  environment: z.string(),
  database: z.string(),
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  /** Of the server that wrote it first; a cluster keeps it until pg_upgrade, which gives it a new identifier. */
  serverMajor: z.int().min(10),
  segmentBytes: z.int().refine(isSegmentSize),
});

type ClusterRecord = z.output<typeof clusterSchema>;

/** Whose archive it is. */
export type ArchivedCluster = Omit<ClusterRecord, "format" | "version">;

/**
 * What the archive of a database target in this store belongs to; undefined where nothing was archived yet. Throws
 * `E_WAL_ARCHIVE` where the record is damaged.
 */
export async function readCluster(
  store: ObjectStore,
  database: string,
): Promise<ArchivedCluster | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readObject(store, clusterObject(database));
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING") return undefined;
    throw error;
  }
  const { format: _format, version: _version, ...cluster } = decode(bytes, store, database);
  return cluster;
}

/**
 * Makes the archive this cluster's, once and for all: of several that try at the same time one wins. Throws
 * `E_WAL_FOREIGN` where it is another one's.
 */
export async function claimArchive(store: ObjectStore, cluster: ArchivedCluster): Promise<void> {
  const { database } = cluster;
  const found = await readCluster(store, database);
  if (found === undefined) {
    const record: ClusterRecord = { format: "ops-wal-archive", version: 1, ...cluster };
    const body = Buffer.from(`${JSON.stringify(record, null, 2)}\n`);
    if (await store.putIfAbsent(clusterObject(database), body)) return;
  }
  const owner = found ?? (await readCluster(store, database));
  if (owner !== undefined) refuseForeign(store, cluster, owner);
}

function refuseForeign(store: ObjectStore, cluster: ArchivedCluster, owner: ArchivedCluster): void {
  const { database } = cluster;
  const differences = (
    [
      ["systemIdentifier", "system identifier"],
      ["environment", "environment"],
      ["segmentBytes", "size of segments"],
    ] as const
  ).filter(([key]) => owner[key] !== cluster[key]);
  if (differences.length === 0) return;
  const which = differences.map(([key, what]) => `${what} ${owner[key]}, not ${cluster[key]}`).join("; ");
  throw new OpsError(
    "E_WAL_FOREIGN",
    `The archive of ${database} in ${store.location} belongs to another cluster: ${which}`,
    {
      hint: "give each cluster a database target or a store (prefix) of its own in .opsrc; a cluster that was made anew or upgraded starts a new archive",
      details: { owner, cluster },
      retryable: false,
    },
  );
}

function decode(bytes: Buffer, store: ObjectStore, database: string): ClusterRecord {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    throw damaged(store, database, error);
  }
  const result = clusterSchema.safeParse(value);
  if (!result.success) throw damaged(store, database, result.error);
  return result.data;
}

function damaged(store: ObjectStore, database: string, cause: unknown): OpsError {
  return new OpsError(
    "E_WAL_ARCHIVE",
    `${clusterObject(database)} in ${store.location} is not what was written`,
    { cause, hint: "restore this object from another store, or archive to a new one", retryable: false },
  );
}
