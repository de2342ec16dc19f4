import type { Answer, Catalog } from "./catalog.ts";

/** A replication slot: the server keeps its log for whoever reads from it. */
export type Slot = {
  readonly name: string;
  readonly type: string;
  readonly active: boolean;
  /** `reserved`, `extended`, `unreserved` (about to be lost) or `lost`; null where it was never used. */
  readonly walStatus: string | null;
  /** What the server keeps for it; null where it keeps nothing. */
  readonly keptBytes: number | null;
};

const statement = `
SELECT slot_name AS name, slot_type AS type, active, wal_status AS "walStatus",
       CASE WHEN wal_status IS DISTINCT FROM 'lost' THEN greatest(0, pg_wal_lsn_diff(
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn))::float8 END AS "keptBytes"
  FROM pg_replication_slots
 ORDER BY slot_name`;

export function readSlots(catalog: Catalog): Promise<Answer<Slot>> {
  return catalog.ask<Slot>(statement);
}
