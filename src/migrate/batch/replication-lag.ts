import type pg from "pg";
import type { Clock } from "../../core/clock.ts";
import { OpsError } from "../../core/errors.ts";

/** A standby, or another receiver that tells how far it has applied. */
export interface StandbyLag {
  readonly name: string;
  /** How long ago the newest thing that it has applied was written here, at least; 0 where it has applied all. */
  readonly lagMs: number;
}

interface Sample {
  readonly at: number;
  /** Bytes of WAL since the beginning of time. */
  readonly written: number;
}

interface StandbyRow {
  readonly name: string;
  /** Null hides the rest from us. */
  readonly state: string | null;
  readonly written: number;
  readonly applied: number | null;
  /** Milliseconds, measured by the server when the standby last answered. */
  readonly measured: number | null;
}

/**
 * Measures replication lag by time. The server's own figure (`replay_lag`) stands still where a standby does, so each
 * look also notes how far WAL was written: a standby that has not applied what was written a minute ago is at least
 * a minute behind. A standby that is not connected is not seen.
 */
export class ReplicationLag {
  readonly #client: pg.ClientBase;
  readonly #clock: Clock;
  #samples: Sample[] = [];

  constructor(client: pg.ClientBase, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** The standby that is furthest behind; undefined where none is connected. Throws `E_REPLICATION_HIDDEN`. */
  async furthest(): Promise<StandbyLag | undefined> {
    const { rows } = await this.#client.query<StandbyRow>(`
      SELECT coalesce(nullif(application_name, ''), client_addr::text, 'standby') AS name, state,
             pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS written,
             pg_wal_lsn_diff(replay_lsn, '0/0')::float8 AS applied,
             extract(epoch FROM replay_lag)::float8 * 1000 AS measured
        FROM pg_stat_replication
       WHERE state IS NULL OR (state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL)`);
    const [first] = rows;
    if (first === undefined) return undefined;
    if (rows.some((each) => each.state === null)) {
      throw new OpsError(
        "E_REPLICATION_HIDDEN",
        "max-lag is set, but this role may not see how far standbys are",
        {
          hint: "GRANT pg_monitor TO the role that runs migrations, or remove max-lag",
          retryable: false,
        },
      );
    }
    const now = this.#clock.elapsed();
    this.#samples.push({ at: now, written: first.written });
    const standbys = rows.map((row) => ({ name: row.name, lagMs: this.#lagOf(row, now) }));
    this.#forget(Math.min(...rows.map((row) => row.applied ?? 0)));
    return standbys.reduce((a, b) => (b.lagMs > a.lagMs ? b : a));
  }

  #lagOf({ written, applied, measured }: StandbyRow, now: number): number {
    if (applied === null || applied >= written) return 0;
    const missing = this.#samples.find((each) => each.written > applied);
    return Math.max(missing === undefined ? 0 : now - missing.at, measured ?? 0);
  }

  /** What every standby has applied tells nothing any more. */
  #forget(appliedByAll: number): void {
    this.#samples = this.#samples.filter((each) => each.written > appliedByAll);
  }
}
