import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import { isDataFolderOf } from "../postgres-health/data-folder.ts";

/** How the server's own side of archiving stands. Sizes in bytes, times by the server's clock. */
export interface ArchivingServer {
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
  readonly timeline: number;
  /** Where it writes, or, on a standby, replays. */
  readonly position: string;
  /** Whether archive_mode is on, and there is a command or a library to archive with. */
  readonly archives: boolean;
  /** Whether archive_command calls what is configured: `ops wal push`, or pgBackRest's archive-push. */
  readonly isOurs: boolean;
  /** archive_timeout in milliseconds; 0: a segment is open for as long as it is not full. */
  readonly archiveTimeoutMs: number;
  /** Who receives over the replication slot; null where there is no slot. */
  readonly receiver: Receiver | null;
  readonly lastArchived: string | null;
  /** How long ago that was, in milliseconds; null: not known. */
  readonly lastArchivedMs: number | null;
  /** How long ago each segment of pg_wal was written to last, in milliseconds, by name: a finished one, when it was. */
  readonly segmentAges: Readonly<Record<string, number>>;
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

export interface Receiver {
  readonly slot: string;
  /** Whether somebody receives now. */
  readonly active: boolean;
  /** What the server keeps for it, in bytes; null where it has given the slot up. */
  readonly keptBytes: number | null;
  /** From where on it keeps it; null where it never did, or has given the slot up. */
  readonly restart: string | null;
  /** How long it took lately until what was written was in the stores, in milliseconds. */
  readonly lagMs: number;
}

type Row = Omit<ArchivingServer, "disk" | "isOurs" | "segmentBytes" | "walBytes" | "maxWalBytes"> & {
  readonly segmentBytes: string;
  readonly walBytes: string;
  readonly maxWalBytes: string;
  readonly dataDirectory: string;
  readonly command: string;
};

const statement = `
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
       pg_size_bytes(current_setting('wal_segment_size'))::text AS "segmentBytes",
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS position,
       current_setting('archive_mode') <> 'off'
       AND (current_setting('archive_command') <> '' OR coalesce(current_setting('archive_library', true), '') <> '') AS archives,
       current_setting('archive_command') AS command,
       (SELECT setting::float8 * 1000 FROM pg_settings WHERE name = 'archive_timeout') AS "archiveTimeoutMs",
       (SELECT json_build_object(
                 'slot', slot_name, 'active', active,
                 'keptBytes', CASE WHEN wal_status <> 'lost' THEN pg_wal_lsn_diff(
                   CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                   restart_lsn)::float8 END,
                 'restart', CASE WHEN wal_status <> 'lost' THEN restart_lsn::text END,
                 'lagMs', coalesce(extract(epoch FROM flush_lag) * 1000, 0)::float8)
          FROM pg_replication_slots LEFT JOIN pg_stat_replication ON pid = active_pid
         WHERE slot_name = $1) AS receiver,
       last_archived_wal AS "lastArchived",
       (extract(epoch FROM clock_timestamp() - last_archived_time) * 1000)::float8 AS "lastArchivedMs",
       (SELECT coalesce(json_object_agg(name, greatest(0, extract(epoch FROM clock_timestamp() - modification) * 1000)::float8), '{}')
          FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$') AS "segmentAges",
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
    const slot = target.pitr?.engine === "ops" ? target.pitr.slot : null;
    const { rows } = await client.query<Row>(statement, [slot]);
    const [row] = rows;
    if (row === undefined) throw new Error("pg_stat_archiver has no row");
    const { dataDirectory, command, ...rest } = row;
    const ours = target.pitr?.engine === "pgbackrest" ? /\barchive-push\b/ : /\bwal push\b/;
    return {
      ...rest,
      isOurs: ours.test(command),
      segmentBytes: Number(row.segmentBytes),
      walBytes: Number(row.walBytes),
      maxWalBytes: Number(row.maxWalBytes),
      disk: await diskOf(dataDirectory, row.systemIdentifier),
    };
  });
}

async function diskOf(dataDirectory: string, systemIdentifier: string): Promise<ArchivingServer["disk"]> {
  try {
    if (!(await isDataFolderOf(dataDirectory, systemIdentifier))) return null;
    const { bavail, blocks, bsize } = await statfs(join(dataDirectory, "pg_wal"));
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    // On another machine, or not for us to look into: the size of pg_wal is known all the same.
    return null;
  }
}
