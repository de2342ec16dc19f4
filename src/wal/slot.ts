import type { DatabaseTarget, OpsPitrTarget } from "../config/environment.ts";
import { ExitCode, OpsError, UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import { type Lsn, parseLsn } from "../wal-archive/lsn.ts";

/** The cluster that is received, and what its replication slot keeps. */
export interface SlotState {
  readonly systemIdentifier: string;
  readonly serverMajor: number;
  /** wal_segment_size. */
  readonly segmentBytes: number;
  /** The server keeps its log from here on. */
  readonly restart: Lsn;
  /** Whether it was made just now. */
  readonly isNew: boolean;
  /** What the server keeps for it, in bytes. */
  readonly keptBytes: number;
}

interface Row {
  readonly systemIdentifier: string;
  readonly serverMajor: number;
  readonly segmentBytes: number;
  readonly type: string | null;
  readonly restart: string | null;
  readonly walStatus: string | null;
  readonly position: string;
  readonly keptBytes: number;
}

const statement = `
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
       current_setting('server_version_num')::int / 10000 AS "serverMajor",
       (SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size') AS "segmentBytes",
       slot_type AS type, restart_lsn::text AS restart, wal_status AS "walStatus",
       here.lsn::text AS position,
       coalesce(pg_wal_lsn_diff(here.lsn, restart_lsn), 0)::float8 AS "keptBytes"
  FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) here
  LEFT JOIN pg_replication_slots ON slot_name = $1`;

/**
 * Throws `E_WAL_SLOT` where there is no slot and none shall be made, or where it is not one that the log can be
 * received from.
 *
 * @param create makes it where it does not exist: from then on the server keeps its log until it is received
 */
export async function readSlot(
  target: DatabaseTarget,
  { slot }: OpsPitrTarget,
  create: boolean,
  signal: AbortSignal,
): Promise<SlotState> {
  return withConnection(target, { signal, applicationName: "ops wal receive" }, async (client) => {
    const read = async () => (await client.query<Row>(statement, [slot])).rows[0];
    let row = await read();
    let isNew = false;
    if (row?.type === null && create) {
      // Another receiver may be quicker: then it is there all the same.
      await client.query(
        `SELECT pg_create_physical_replication_slot($1, true)
          WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`,
        [slot],
      );
      isNew = true;
      row = await read();
    }
    if (row === undefined) throw new Error("a query on one row answers with none");
    const why = whyUseless(row);
    if (why !== undefined) throw refused(target, slot, why);
    const { systemIdentifier, serverMajor, segmentBytes, keptBytes } = row;
    const restart = parseLsn(row.restart ?? row.position);
    return { systemIdentifier, serverMajor, segmentBytes, restart, isNew, keptBytes };
  });
}

interface Refusal {
  readonly what: string;
  readonly hint: string;
}

function whyUseless({ type, walStatus }: Row): Refusal | undefined {
  if (type === null) {
    return {
      what: "does not exist",
      hint: "make it with: ops wal receive --create-slot; the server then keeps its log until it is received",
    };
  }
  if (type !== "physical") {
    return {
      what: "is a logical one",
      hint: "name another one in .opsrc: pitr: { slot: NAME }",
    };
  }
  if (walStatus === "lost") {
    return {
      what: "was given up by the server, because it had to keep more than max_slot_wal_keep_size",
      hint: "drop it (SELECT pg_drop_replication_slot(…)), start with --create-slot, and make a base backup: ops pitr base create",
    };
  }
  return undefined;
}

function refused(target: DatabaseTarget, slot: string, { what, hint }: Refusal): UsageError {
  return new UsageError("E_WAL_SLOT", `The replication slot "${slot}" of ${target.name} ${what}`, { hint });
}

/** Another receiver has the slot; or the server has not noticed yet that the one before is gone. */
export function slotBusy(target: DatabaseTarget, slot: string, cause: unknown): OpsError {
  return new OpsError("E_WAL_SLOT", `Another receiver reads from the slot "${slot}" of ${target.name}`, {
    cause,
    hint: "one receiver is enough for a cluster; see: SELECT * FROM pg_stat_replication",
    exitCode: ExitCode.lockHeld,
    retryable: true,
  });
}
