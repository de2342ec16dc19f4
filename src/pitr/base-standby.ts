import type { DatabaseTarget } from "../config/environment.ts";
import { causeText, OpsError, UsageError } from "../core/errors.ts";
import { formatBytes } from "../core/size.ts";
import { withConnection } from "../postgres/connection.ts";
import type { ClusterFacts } from "./base-source.ts";

/** Which server of the cluster a base backup is read from. */
export type Server = "primary" | "standby";

export interface Source {
  readonly server: Server;
  /** What a person should know of the choice; null: nothing. */
  readonly remark: string | null;
  /** Of this server, where it has its own. */
  readonly cluster: ClusterFacts;
}

/** @param wish undefined: the standby where one is configured; `any`: the primary where the standby is of no use */
export async function chooseSource(
  database: DatabaseTarget,
  primary: ClusterFacts,
  wish: Server | "any" | undefined,
  signal: AbortSignal,
): Promise<Source> {
  const isConfigured = standbyUrl(database) !== undefined;
  if (wish === "standby" && !isConfigured) {
    throw new UsageError("E_TARGET", `The database ${database.name} has no standby in the configuration`, {
      hint: `add "standby: env:NAME" to databases.${database.name}.pitr in .opsrc (docs/pitr.md)`,
    });
  }
  if (wish === "primary" || !isConfigured) return { server: "primary", remark: null, cluster: primary };
  try {
    const { serverVersion, summarizeWal, lagBytes } = await observeStandby(database, primary, signal);
    return {
      server: "standby",
      remark: `it is read from the standby, which is ${formatBytes(lagBytes)} of WAL behind`,
      cluster: { ...primary, serverVersion, summarizeWal },
    };
  } catch (error) {
    if (wish !== "any" || !(error instanceof OpsError)) throw error;
    const cause = causeText(error.cause);
    const why = cause === undefined ? error.message : `${error.message}: ${cause}`;
    return { server: "primary", remark: `it is read from the primary: ${why}`, cluster: primary };
  }
}

/** The server to connect to. */
export function serverTarget(database: DatabaseTarget, server: Server): DatabaseTarget {
  const standby = standbyUrl(database);
  if (server === "primary" || standby === undefined) return database;
  return { ...database, name: `${database.name} (standby)`, url: standby };
}

function standbyUrl({ pitr }: DatabaseTarget) {
  return pitr?.engine === "ops" ? pitr.standby : undefined;
}

export interface StandbyFacts {
  readonly serverVersion: string;
  readonly summarizeWal: string | null;
  /** How much of the primary's log it has not replayed. */
  readonly lagBytes: number;
}

/** Throws `E_STANDBY` where it is no standby of this cluster, and `E_DATABASE_UNREACHABLE`. */
export async function observeStandby(
  database: DatabaseTarget,
  { systemIdentifier }: Pick<ClusterFacts, "systemIdentifier">,
  signal: AbortSignal,
): Promise<StandbyFacts> {
  const standby = serverTarget(database, "standby");
  const facts = await reached(database, () =>
    withConnection(standby, { signal }, async (client) => {
      const { rows } = await client.query<{
        isStandby: boolean;
        systemIdentifier: string;
        serverVersion: string;
        summarizeWal: string | null;
        replayed: string | null;
      }>(`
      SELECT pg_is_in_recovery() AS "isStandby",
             (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
             split_part(current_setting('server_version'), ' ', 1) AS "serverVersion",
             current_setting('summarize_wal', true) AS "summarizeWal",
             pg_last_wal_replay_lsn()::text AS replayed`);
      return rows[0];
    }),
  );
  if (facts === undefined) throw new Error("a query without FROM answers with no row");
  if (facts.systemIdentifier !== systemIdentifier) {
    throw unfit(
      database,
      `has system identifier ${facts.systemIdentifier}, and the primary ${systemIdentifier}`,
    );
  }
  if (!facts.isStandby) throw unfit(database, "is no standby: it was promoted");
  const primary = await withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ lag: number; fullPages: string }>(
      `SELECT greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn))::float8 AS lag,
              current_setting('full_page_writes') AS "fullPages"`,
      [facts.replayed ?? "0/0"],
    );
    return rows[0];
  });
  if (primary?.fullPages === "off") {
    throw unfit(database, "cannot be copied while full_page_writes is off on the primary");
  }
  const { serverVersion, summarizeWal } = facts;
  return { serverVersion, summarizeWal, lagBytes: primary?.lag ?? 0 };
}

/** A standby cannot end a segment: without this, what its base backup needs would be archived with the next one. */
export async function finishSegment(database: DatabaseTarget, signal: AbortSignal): Promise<void> {
  await withConnection(database, { signal }, (client) => client.query("SELECT pg_switch_wal()"));
}

const wayOut = "take the primary: --from primary, or --from any for whichever can";

async function reached<T>(database: DatabaseTarget, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "E_DATABASE_UNREACHABLE") throw error;
    throw new OpsError("E_STANDBY", `The standby of ${database.name} cannot be reached`, {
      cause: error.cause,
      hint: wayOut,
    });
  }
}

function unfit(database: DatabaseTarget, why: string): OpsError {
  return new OpsError("E_STANDBY", `The standby of ${database.name} ${why}`, {
    hint: wayOut,
    retryable: false,
  });
}
