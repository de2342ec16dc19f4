import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { formatLsn, lsn, parseLsn } from "../wal-archive/lsn.ts";
import { ofLsn, segmentName } from "../wal-archive/segment.ts";
import { archiveStore, pitrOf } from "./archive-stores.ts";
import { missingSegments } from "./missing-wal.ts";
import { openArchive } from "./open-archive.ts";

/** Milliseconds between two looks into the store. */
const pollInterval = 300;

/**
 * Brings everything that is committed by now into the archive: a moment of a minute ago may be in the segment that the
 * server is still writing. A transaction of ours comes last, so that a replay finds one behind every earlier moment.
 * Where the server may not be asked or does not archive in time, that is said; whether it matters shows the restore.
 */
export async function archiveUpToNow(
  context: OperationContext,
  options: {
    readonly database: string | undefined;
    readonly store: string | undefined;
    readonly timeout: number;
  },
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const database = context.environment.database(options.database);
  const slot = database.pitr?.engine === "ops" ? database.pitr.slot : null;
  const end = await withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ inRecovery: boolean; archives: boolean; segmentBytes: number }>(
      `SELECT pg_is_in_recovery() AS "inRecovery", setting::int AS "segmentBytes",
              current_setting('archive_mode') <> 'off'
              OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active) AS archives
         FROM pg_settings WHERE name = 'wal_segment_size'`,
      [slot],
    );
    const [server] = rows;
    if (server === undefined || server.inRecovery || !server.archives) return undefined;
    await client.query("SELECT pg_logical_emit_message(true, 'ops', 'a moment to restore to')");
    const switched = await client.query<{ lsn: string; timeline: number }>(
      `SELECT pg_switch_wal()::text AS lsn,
              ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline`,
    );
    return switched.rows[0] && { ...switched.rows[0], segmentBytes: server.segmentBytes };
  }).catch((error: unknown) => {
    if (!isRefused(error)) throw error;
    report.log("the role may not call pg_switch_wal(): what is not archived yet cannot be restored to");
    return undefined;
  });
  if (end === undefined) return;
  const deadline = context.clock.elapsed() + options.timeout;
  while (!(await isArchived(database, options.store, end, signal))) {
    if (context.clock.elapsed() >= deadline) {
      report.log(`the WAL of now is not archived after ${formatDuration(options.timeout)}: ops wal status`);
      return;
    }
    report.progress({ message: "waiting until the WAL of now is archived" });
    await context.clock.sleep(pollInterval, signal);
  }
}

interface EndOfLog {
  readonly lsn: string;
  readonly timeline: number;
  readonly segmentBytes: number;
}

async function isArchived(
  database: DatabaseTarget,
  store: string | undefined,
  { lsn: position, timeline, segmentBytes }: EndOfLog,
  signal: AbortSignal,
): Promise<boolean> {
  const last = lsn(parseLsn(position) - 1n);
  if (pitrOf(database).engine === "ops") {
    // Asks for one segment; all that there is may be a hundred thousand.
    const range = { timeline, segmentBytes, startLsn: formatLsn(last), stopLsn: position };
    const missing = await missingSegments(openStore(archiveStore(database, store)), database.name, range);
    return missing.length === 0;
  }
  const { segments } = await (await openArchive(database, store, signal)).state();
  return segments.has(segmentName(ofLsn(timeline, last, segmentBytes), segmentBytes));
}

function isRefused(error: unknown): boolean {
  if (!(error instanceof OpsError)) return error instanceof pg.DatabaseError && error.code === "42501";
  const { details } = error;
  return (
    typeof details === "object" && details !== null && "sqlstate" in details && details.sqlstate === "42501"
  );
}
