import type { Clock } from "../core/clock.ts";
import type { Catalog } from "./catalog.ts";

/** How far a server that follows another one is behind. Sizes in bytes, times in milliseconds. */
export type Standby = {
  readonly name: string;
  /** Where it connects from; null at a socket, and where a standby is asked itself. */
  readonly address: string | null;
  /** `streaming`, `catchup`, …; at a standby itself also `archive` (no primary is configured) and `not connected`. */
  readonly state: string;
  /** `async`, `sync`, `potential`, `quorum`; null where a standby is asked itself. */
  readonly syncState: string | null;
  readonly paused: boolean;
  /** Null where a standby that is asked itself has not heard how far its primary is. */
  readonly lagBytes: number | null;
  /** It is at least this old. */
  readonly atLeastMs: number;
  /** It is at most this old; null where nobody can tell. */
  readonly atMostMs: number | null;
};

export interface Followers {
  /** Who was asked: a primary about its standbys, or a standby about itself. */
  readonly askedAt: "primary" | "standby";
  readonly standbys: readonly Standby[];
}

interface Row {
  /** Standbys that were given no name share one. */
  readonly connection: string;
  readonly name: string;
  readonly address: string | null;
  readonly state: string;
  readonly syncState: string | null;
  readonly paused: boolean;
  /** Bytes of WAL since the beginning of time: what there is to apply, and what was applied. */
  readonly written: number;
  readonly applied: number;
  /** By the server's clocks, when it last made progress. */
  readonly measuredMs: number | null;
  /** Time since the commit that was applied last, which tells nothing where nothing was committed since. */
  readonly sinceCommitMs: number | null;
  /** Time since the last word from the primary. */
  readonly silentMs: number | null;
}

// A receiver without a name in `$1` counts only where it tells what it has applied: pg_receivewal does not.
const atPrimary = `
SELECT pid::text AS connection, coalesce(nullif(application_name, ''), host(client_addr), 'pid ' || pid) AS name,
       host(client_addr) AS address, state, sync_state AS "syncState", false AS paused,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS written,
       pg_wal_lsn_diff(coalesce(replay_lsn, flush_lsn), '0/0')::float8 AS applied,
       (extract(epoch FROM replay_lag) * 1000)::float8 AS "measuredMs",
       NULL AS "sinceCommitMs", NULL AS "silentMs"
  FROM pg_stat_replication
 WHERE state <> 'backup' AND coalesce(replay_lsn, flush_lsn) IS NOT NULL
   AND (application_name = ANY ($1::text[]) OR (cardinality($1::text[]) = 0 AND replay_lsn IS NOT NULL))
 ORDER BY name`;

const atStandby = `
SELECT 'self' AS connection, 'this standby' AS name, NULL AS address, NULL AS "syncState",
       CASE WHEN receiver.status IS NOT NULL THEN receiver.status
            WHEN coalesce(current_setting('primary_conninfo', true), '') = '' THEN 'archive'
            ELSE 'not connected' END AS state,
       pg_is_wal_replay_paused() AS paused,
       pg_wal_lsn_diff(greatest(receiver.latest_end_lsn, pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')::float8 AS written,
       pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::float8 AS applied,
       NULL AS "measuredMs",
       (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::float8 AS "sinceCommitMs",
       (extract(epoch FROM clock_timestamp() - receiver.last_msg_receipt_time) * 1000)::float8 AS "silentMs"
  FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver AS receiver ON true`;

/** How often it is looked while a standby catches up. */
const pause = 100;
/** A receiver speaks to its primary more often than this (wal_receiver_timeout is 60s), also where nothing is written. */
const longestSilence = 60_000;

/**
 * Looks until each standby has applied what there was at the first look, for at most `watch` milliseconds: the server's
 * own figure (`replay_lag`) is NULL where nothing is written, and old where a standby stands still.
 *
 * @param names of standbys to look at; none: all
 */
export async function readFollowers(
  catalog: Catalog,
  names: readonly string[],
  watch: number,
  clock: Clock,
  signal: AbortSignal,
  isStandby: boolean,
): Promise<Followers> {
  const look = async () =>
    isStandby ? (await catalog.ask<Row>(atStandby)).rows : (await catalog.ask<Row>(atPrimary, [names])).rows;
  const began = clock.elapsed();
  const first = await look();
  const target = Math.max(0, ...first.map((each) => each.written));
  let rows = first;
  const reached = new Map<string, number>();
  for (;;) {
    for (const { connection, applied } of rows) {
      if (applied >= target && !reached.has(connection)) reached.set(connection, clock.elapsed() - began);
    }
    const waits = rows.some((each) => !reached.has(each.connection));
    if (!waits || clock.elapsed() - began >= watch) break;
    await clock.sleep(pause, signal);
    rows = await look();
  }
  const watched = clock.elapsed() - began;
  const standbys = rows.map((row): Standby => {
    const { connection, name, address, state, syncState, paused, written, applied } = row;
    const before = first.find((each) => each.connection === connection);
    return {
      name,
      address,
      state,
      syncState,
      paused,
      lagBytes: hears(row) ? Math.max(0, written - applied) : null,
      ...bounds(row, before, reached.get(connection), watched),
    };
  });
  return { askedAt: isStandby ? "standby" : "primary", standbys };
}

/** @param reached after how many milliseconds it had applied what there was at the beginning */
function bounds(
  row: Row,
  before: Row | undefined,
  reached: number | undefined,
  watched: number,
): Pick<Standby, "atLeastMs" | "atMostMs"> {
  if (!hears(row)) return { atLeastMs: 0, atMostMs: row.sinceCommitMs };
  if (reached !== undefined) {
    // What it has not applied yet was written after the first look.
    const since = row.applied >= row.written ? 0 : reached;
    return { atLeastMs: 0, atMostMs: since };
  }
  const moves = before !== undefined && row.applied > before.applied;
  if (moves && row.measuredMs !== null) {
    const lag = Math.max(row.measuredMs, watched);
    return { atLeastMs: lag, atMostMs: lag };
  }
  return { atLeastMs: watched, atMostMs: row.sinceCommitMs };
}

function hears({ state, silentMs }: Row): boolean {
  return state !== "archive" && state !== "not connected" && (silentMs ?? 0) <= longestSilence;
}
