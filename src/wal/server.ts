import { open, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";

/** How the server's own side of archiving stands. Sizes in bytes, times by the server's clock. */
export interface ArchivingServer {
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
  readonly timeline: number;
  /** Where it writes, or, on a standby, replays. */
  readonly position: string;
  readonly archives: boolean;
  readonly lastArchived: string | null;
  /** Null: the last attempt was none that failed. */
  readonly failing: string | null;
  /** Finished files that wait to be archived. */
  readonly waiting: number;
  /** How long the oldest of them waits, in milliseconds; 0 where none does. */
  readonly waitingMs: number;
  readonly walBytes: number;
  readonly maxWalBytes: number;
  /** Of the file system of pg_wal; null where it is on another machine. */
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number } | null;
}

type Row = Omit<ArchivingServer, "disk" | "segmentBytes" | "walBytes" | "maxWalBytes"> & {
  readonly segmentBytes: string;
  readonly walBytes: string;
  readonly maxWalBytes: string;
  readonly dataDirectory: string;
};

const statement = `
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
       pg_size_bytes(current_setting('wal_segment_size'))::text AS "segmentBytes",
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS position,
       current_setting('archive_mode') <> 'off' AS archives,
       last_archived_wal AS "lastArchived",
       CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity') THEN last_failed_wal END AS failing,
       ready.count AS waiting,
       ready.ms AS "waitingMs",
       (SELECT coalesce(sum(size), 0)::text FROM pg_ls_waldir()) AS "walBytes",
       pg_size_bytes(current_setting('max_wal_size'))::text AS "maxWalBytes",
       current_setting('data_directory') AS "dataDirectory"
  FROM pg_stat_archiver,
       (SELECT count(*)::int AS count,
               greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(modification)), 0) * 1000)::float8 AS ms
          FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS ready`;

/** Needs a superuser, or a member of pg_monitor who may see data_directory. */
export function readServer(target: DatabaseTarget, signal: AbortSignal): Promise<ArchivingServer> {
  return withConnection(target, { signal, applicationName: "ops wal status" }, async (client) => {
    const { rows } = await client.query<Row>(statement);
    const [row] = rows;
    if (row === undefined) throw new Error("pg_stat_archiver has no row");
    const { dataDirectory, ...rest } = row;
    return {
      ...rest,
      segmentBytes: Number(row.segmentBytes),
      walBytes: Number(row.walBytes),
      maxWalBytes: Number(row.maxWalBytes),
      disk: await diskOf(dataDirectory, row.systemIdentifier),
    };
  });
}

/** A folder of that name may be here although the server is elsewhere: its pg_control says whose it is. */
async function diskOf(dataDirectory: string, systemIdentifier: string): Promise<ArchivingServer["disk"]> {
  try {
    const file = await open(join(dataDirectory, "global/pg_control"), "r");
    try {
      const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
      if (buffer.readBigUInt64LE(0).toString() !== systemIdentifier) return null;
    } finally {
      await file.close();
    }
    const { bavail, blocks, bsize } = await statfs(join(dataDirectory, "pg_wal"));
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    // On another machine, or not for us to look into: the size of pg_wal is known all the same.
    return null;
  }
}
