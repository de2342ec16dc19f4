import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { oldestServer } from "../postgres/base-backup.ts";
import { withConnection } from "../postgres/connection.ts";

/** What must be known of a cluster to archive and restore it. */
export interface ClusterFacts {
  readonly systemIdentifier: string;
  /** `15.18` */
  readonly serverVersion: string;
  readonly serverMajor: number;
  readonly segmentBytes: number;
  readonly walLevel: string;
  readonly archiveMode: string;
  /** Whether the server notes which blocks changed; null: it is older than PostgreSQL 17. */
  readonly summarizeWal: string | null;
  readonly timeline: number;
}

/** Throws `E_BASE_BACKUP` where the server is too old or writes too little WAL for a base backup. */
export async function observeCluster(database: DatabaseTarget, signal: AbortSignal): Promise<ClusterFacts> {
  const facts = await withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<ClusterFacts>(`
      SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
             split_part(current_setting('server_version'), ' ', 1) AS "serverVersion",
             current_setting('server_version_num')::int / 10000 AS "serverMajor",
             (SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size') AS "segmentBytes",
             current_setting('wal_level') AS "walLevel",
             current_setting('archive_mode') AS "archiveMode",
             current_setting('summarize_wal', true) AS "summarizeWal",
             (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline`);
    return rows[0];
  });
  if (facts === undefined) throw new Error("a query without FROM answers with no row");
  if (facts.serverMajor < oldestServer) {
    throw unfit(
      database,
      `PostgreSQL ${facts.serverVersion} is older than ${oldestServer}`,
      "upgrade the server; until then: ops backup create",
    );
  }
  if (facts.walLevel === "minimal") {
    throw unfit(
      database,
      "wal_level is minimal: its WAL is not enough to restore from",
      `run: ops pitr setup --database ${database.name}`,
    );
  }
  return facts;
}

export interface Afterwards {
  /** By the server's clock. */
  readonly now: Date;
  /** The first transaction that has not begun. */
  readonly nextTransaction: string;
}

/** Asked behind the end of a base backup: whatever is later than this is later than the backup. */
export async function observeAfterwards(database: DatabaseTarget, signal: AbortSignal): Promise<Afterwards> {
  return withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<Afterwards>(
      `SELECT clock_timestamp() AS now, pg_snapshot_xmax(pg_current_snapshot())::text AS "nextTransaction"`,
    );
    if (rows[0] === undefined) throw new Error("a query without FROM answers with no row");
    return rows[0];
  });
}

/** The segment that archive_command failed for last, where nothing was archived since; undefined where all is well. */
export async function archiverFailure(
  database: DatabaseTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  return withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ segment: string }>(`
      SELECT last_failed_wal AS segment FROM pg_stat_archiver
       WHERE last_failed_time > coalesce(last_archived_time, '-infinity')`);
    return rows[0]?.segment;
  });
}

function unfit(database: DatabaseTarget, why: string, hint: string): OpsError {
  return new OpsError("E_BASE_BACKUP", `The cluster of ${database.name} cannot have a base backup: ${why}`, {
    hint,
    retryable: false,
  });
}
