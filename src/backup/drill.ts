import { join } from "node:path";
import type pg from "pg";
import { readContents } from "../archive/contents.ts";
import { type DrillRecord, writeDrillRecord } from "../archive/drill-record.ts";
import { loadBackup } from "../archive/load.ts";
import { createDatabase } from "../archive/new-database.ts";
import { type ReadableBackup, verifyBeforeLoading } from "../archive/read-object.ts";
import { copyOptions } from "../archive/restore-options.ts";
import { makeRoles, rolesOfBackup } from "../archive/roles.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { Secret } from "../config/secret.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { serverMajor } from "../postgres/binaries.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { isMachineFailure } from "../postgres/machine-failure.ts";
import { held, shortened } from "../postgres/sql-checks.ts";
import { withThrowAwayCluster } from "../postgres/throw-away-cluster.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { ReportedLoad } from "./load-progress.ts";
import { differences } from "./read-through.ts";
import { dumpedAgain } from "./restored-rows.ts";

export interface DrillOptions {
  readonly jobs: number;
  /** SQL of the user's, each of which must return true in its first column and row. */
  readonly checks: readonly string[];
}

/** Nothing of it has to survive a crash, so nothing waits for a disk. */
const serverSettings = {
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "16GB",
  maintenance_work_mem: "512MB",
  full_page_writes: "off",
};

/**
 * A real restore into a server of our own that is thrown away: every table must have the rows that the manifest
 * says, counted and summed up, and the user's checks must hold. What was found out is recorded in the store, also
 * where it is bad news. Throws only where the drill could not be held at all.
 */
export async function holdDrill(
  context: OperationContext,
  backup: ReadableBackup,
  options: DrillOptions,
  report: Report,
  signal: AbortSignal,
): Promise<DrillRecord> {
  const { manifest, store } = backup;
  const startedAt = context.clock.now();
  const begin = context.clock.elapsed();
  const found = await restoreAndCompare(context, backup, options, report, signal).catch((error: unknown) => {
    // What says nothing about the backup is no verdict.
    if (signal.aborted || !(error instanceof OpsError)) throw error;
    if (isMachineFailure(error)) throw notHeld(manifest.id, drillsFolder(context), error);
    if (!verdictCodes.includes(error.code)) throw error;
    return { ...nothingFound, reason: [error.message, causeText(error.cause)].filter(Boolean).join(": ") };
  });
  // A check of the user's that was cut off has not answered.
  signal.throwIfAborted();
  const record: DrillRecord = {
    format: "ops-drill",
    version: 1,
    backup: manifest.id,
    environment: manifest.environment,
    database: manifest.database,
    whole: manifest.whole,
    verdict: found.reason === null ? "pass" : "fail",
    startedAt: startedAt.toISOString(),
    durationMs: Math.round(context.clock.elapsed() - begin),
    dumpBytes: manifest.dumpBytes,
    run: context.runId ?? null,
    actor: context.actor,
    ...found,
  };
  await writeDrillRecord(store, record);
  return record;
}

const verdictCodes = ["E_BACKUP_CORRUPT", "E_PROGRAM_FAILED", "E_SQL"];

const drillsFolder = (context: OperationContext) => join(context.stateDirectory, "drills");

function notHeld(id: string, folder: string, cause: OpsError): OpsError {
  return new OpsError(
    "E_DRILL_NOT_HELD",
    `Backup ${id} could not be drilled: the throw-away server lacked space or memory, or was ended`,
    {
      cause: new Error([cause.message, causeText(cause.cause)].filter(Boolean).join(": ")),
      hint: `that says nothing about the backup, and nothing is recorded; make room for the whole database in ${folder} (see: df -h) and hold it again`,
    },
  );
}

type Finding = Pick<
  DrillRecord,
  "reason" | "restoreMs" | "serverVersion" | "databaseBytes" | "tables" | "rows" | "checks"
>;

const nothingFound = {
  restoreMs: null,
  serverVersion: null,
  databaseBytes: null,
  tables: 0,
  rows: 0,
  checks: [],
};

async function restoreAndCompare(
  context: OperationContext,
  backup: ReadableBackup,
  options: DrillOptions,
  report: Report,
  signal: AbortSignal,
): Promise<Finding> {
  const { manifest } = backup;
  const database = "drill";
  await verifyBeforeLoading(backup, undefined, signal);
  report.progress({ message: "starting a throw-away server" });
  // What is dumped of a server, an older one does not always take.
  const major = await serverMajor(Number.parseInt(manifest.dumpProgram, 10));
  return withThrowAwayCluster(
    { parent: drillsFolder(context), major, settings: serverSettings, signal },
    async (cluster) => {
      const server: DatabaseTarget = {
        name: "drill",
        url: new Secret(cluster.url(), context.environment.directory),
        password: undefined,
        migrations: context.environment.directory,
      };
      const begin = context.clock.elapsed();
      const contents = await readContents(backup);
      const roles = await rolesOfBackup(backup, signal);
      await withConnection(server, { signal }, async (client) => {
        await makeRoles(client, roles);
        await createDatabase(client, database, manifest.source);
      });
      await loadBackup(backup, {
        database,
        // So that the words for a server that is gone are known.
        environment: { ...(await connectionEnvironment(server)), LC_ALL: "C" },
        jobs: options.jobs,
        options: copyOptions,
        signal,
        progress: new ReportedLoad(report, `drill of ${manifest.id}`),
      });
      const restoreMs = Math.round(context.clock.elapsed() - begin);
      report.progress({ message: "comparing the restored rows with the manifest" });
      const tables = await dumpedAgain(server, database, signal);
      const wrong = differences(contents.tables, tables);
      const facts = await withConnection(server, { signal, database }, (client) => factsOf(client));
      const checks = await withConnection(server, { signal, database }, (client) =>
        held(client, options.checks),
      );
      const broken = checks.filter((each) => !each.passed).map((each) => `this does not hold: ${each.sql}`);
      const reasons = [...wrong, ...broken];
      return {
        reason: reasons.length === 0 ? null : shortened(reasons),
        restoreMs,
        ...facts,
        tables: tables.length,
        rows: tables.reduce((sum, each) => sum + each.rows, 0),
        checks,
      };
    },
  );
}

async function factsOf(
  client: pg.Client,
): Promise<{ serverVersion: string | null; databaseBytes: number | null }> {
  const { rows } = await client.query<{ version: string; bytes: string }>(
    "SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes",
  );
  const [found] = rows;
  return {
    serverVersion: found?.version.split(" ")[0] ?? null,
    databaseBytes: found === undefined ? null : Number(found.bytes),
  };
}
