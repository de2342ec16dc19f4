import { existsSync } from "node:fs";
import { appendFile, chown, statfs, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { Secret } from "../config/secret.ts";
import { type Json, OpsError } from "../core/errors.ts";
import { formatBytes } from "../core/size.ts";
import { type Cluster, startCluster, stopCluster } from "../postgres/cluster.ts";
import { findProgram } from "../postgres/programs.ts";
import { addSuperuser, newSuperuser, type Superuser } from "../postgres/single-user.ts";
import { withThrowAwayFolder } from "../postgres/throw-away-cluster.ts";
import { serverUser } from "../postgres/unprivileged.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import type { ArchivedBase } from "./archive-state.ts";
import { openForRestore } from "./open-archive.ts";
import { settingLines } from "./recovery-settings.ts";
import { restore } from "./restore.ts";
import type { TargetInput } from "./restore-target.ts";
import { standbyMinimums } from "./standby-minimums.ts";

export interface ScratchOptions extends Partial<TargetInput> {
  readonly database?: string | undefined;
  readonly store?: string | undefined;
  readonly timeline?: number | undefined;
  /** A base backup's id. */
  readonly base?: string | undefined;
  /** Objects that are unpacked at once. Default: 2. */
  readonly jobs?: number | undefined;
  readonly "restore-command"?: string | undefined;
  /** The folder that temporary clusters live in, each in one of its own. Default: `scratch` beside the journal. */
  readonly "scratch-dir"?: string | undefined;
}

/** What a temporary cluster would be. Plain data, for the plan. */
export interface ScratchPlan {
  readonly base: string;
  /** When the base backup was finished, RFC 3339. */
  readonly basedOn: string;
  readonly timeline: number;
  /** Bytes that the disk needs for it. */
  readonly bytes: number;
}

/** A cluster as it was at the moment: it runs, is promoted, and can be written to. */
export interface ScratchCluster extends ScratchPlan {
  /**
   * Its server, as a superuser of our own. The database is `template1`: name another one where you connect
   * (`withConnection(server, { database })`).
   */
  readonly server: DatabaseTarget;
  readonly directory: string;
  /** Where and when the replay stopped, in the server's words. */
  readonly stoppedAt: string | null;
  readonly lastTransaction: string | null;
  /** Milliseconds from nothing to ready for queries. */
  readonly durationMs: number;
}

const foundSchema = z.looseObject({
  store: z.string(),
  base: z.string(),
  basedOn: z.string(),
  timeline: z.number(),
  until: z.string(),
  bytes: z.number(),
});
const replayedSchema = z.looseObject({
  stoppedAt: z.string().nullable(),
  lastTransaction: z.string().nullable(),
});

/** Bytes of WAL that lie on the disk at the same time at most, and what a server writes of its own. */
const mostWal = 2 * 2 ** 30;
const ownBytes = 64 * 2 ** 20;

/** Reads only. Throws what `pitr.restore` throws of the moment, and `E_DISK_SPACE`. */
export async function planScratchCluster(
  context: OperationContext,
  options: ScratchOptions,
): Promise<ScratchPlan> {
  const parent = parentOf(context, options);
  const input = restore.input.parse({ ...restoreInput(options), "target-dir": join(parent, "planned") });
  const { plan } = await observed(context, options, input);
  await requireSpace(parent, plan.bytes);
  return plan;
}

/**
 * Restores the archive to a moment into a folder of its own, starts the cluster, works with it and removes it,
 * whatever happens; killed, the watchdog or the next call removes it. It holds real rows: it listens on 127.0.0.1
 * only, to one role whose password only this process knows, and runs no jobs and no subscriptions of its original.
 * Throws what `pitr.restore` throws, and `E_DISK_SPACE` before anything is written.
 */
export async function withScratchCluster<T>(
  context: OperationContext,
  options: ScratchOptions,
  report: Report,
  signal: AbortSignal,
  work: (scratch: ScratchCluster) => Promise<T>,
): Promise<T> {
  const begin = context.clock.elapsed();
  const parent = parentOf(context, options);
  return withThrowAwayFolder(parent, async (folder) => {
    const directory = join(folder, "data");
    const parsed = restore.input.parse({ ...restoreInput(options), "target-dir": directory });
    const { before, plan, archived } = await observed(context, options, parsed);
    await requireSpace(parent, plan.bytes);
    const kept = new KeptReport(report);
    await restore.apply(context, { ...parsed, start: false }, before, kept);
    const superuser = newSuperuser("ops_scratch");
    await shutOff(folder, superuser);
    const replayed = await restore.apply(context, { ...parsed, start: true }, before, kept);
    const cluster = await opened(directory, archived, superuser, signal);
    return work({
      ...plan,
      ...replayedSchema.parse(replayed),
      directory,
      server: targetOf(context, options, superuser, cluster.port),
      durationMs: Math.round(context.clock.elapsed() - begin),
    });
  });
}

function restoreInput(options: ScratchOptions) {
  const { "scratch-dir": _, latest, ...rest } = options;
  return { ...rest, latest: latest ?? false };
}

function parentOf(context: OperationContext, options: ScratchOptions): string {
  return resolve(options["scratch-dir"] ?? join(context.stateDirectory, "scratch"));
}

async function observed(
  context: OperationContext,
  options: ScratchOptions,
  input: Record<string, unknown>,
): Promise<{ before: Json; plan: ScratchPlan; archived: ArchivedBase }> {
  const before = await restore.observe(context, input);
  const { store, base, basedOn, timeline, until, bytes: files } = foundSchema.parse(before);
  const database = context.environment.database(options.database);
  const archive = await openForRestore(database, store, context.signal);
  const archived = await archive.base(base);
  const log = Number(parseLsn(until) - parseLsn(archived.startLsn));
  const bytes = files + Math.min(Math.max(log, 0), mostWal) + ownBytes;
  return { before, plan: { base, basedOn, timeline, bytes }, archived };
}

async function requireSpace(parent: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(nearestExisting(parent));
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new OpsError(
    "E_DISK_SPACE",
    `A temporary cluster needs ${formatBytes(bytes)}, and the disk of ${parent} has ${formatBytes(free)} free`,
    { hint: "name a folder on a larger disk: --scratch-dir", retryable: false },
  );
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

/** The newest checkpoint is all that one call to the next needs to know. */
class KeptReport implements Report {
  last: Json | undefined;
  private readonly outer: Report;

  constructor(outer: Report) {
    this.outer = outer;
  }

  progress(progress: Parameters<Report["progress"]>[0]): void {
    this.outer.progress(progress);
  }

  log(line: string): void {
    this.outer.log(line);
  }

  async checkpoint(data: Json): Promise<void> {
    this.last = data;
  }
}

/**
 * Before its server first starts: nobody gets in but the role that does not exist yet, and nothing in it reaches out.
 * The file wins over what the original's configuration says, also where that includes others.
 */
async function shutOff(folder: string, superuser: Superuser): Promise<void> {
  const { owner } = await serverUser(join(folder, "data"));
  const access = join(folder, "pg_hba.conf");
  await writeFile(access, `host all ${superuser.name} 127.0.0.1/32 scram-sha-256\n`, { mode: 0o600 });
  if (owner !== undefined) await chown(access, owner.uid, owner.gid);
  const settings = {
    hba_file: access,
    "cron.launch_active_jobs": "off",
    synchronous_standby_names: "",
    // Files that the original has outside of its data folder.
    ssl: "off",
    external_pid_file: "",
    // Nothing here must survive a power cut.
    fsync: "off",
    full_page_writes: "off",
    autovacuum: "off",
    huge_pages: "try",
  };
  await addSettings(join(folder, "data"), settings);
}

async function addSettings(directory: string, settings: Readonly<Record<string, string>>): Promise<void> {
  await appendFile(join(directory, "postgresql.auto.conf"), `${settingLines(settings).join("\n")}\n`);
}

/** Stopped once after the replay: a role can only be added to a cluster of its own. */
async function opened(
  directory: string,
  archived: ArchivedBase,
  superuser: Superuser,
  signal: AbortSignal,
): Promise<Cluster> {
  const major = Number.parseInt(archived.serverVersion, 10);
  await stopCluster(directory);
  // Transactions that were prepared at the moment are still there, with their locks.
  const controldata = await findProgram("pg_controldata", major);
  const { max_prepared_transactions = "0", max_locks_per_transaction = "64" } = await standbyMinimums(
    directory,
    controldata,
    signal,
  );
  await addSettings(directory, { max_prepared_transactions, max_locks_per_transaction });
  await addSuperuser(directory, major, superuser, signal);
  return startCluster({
    directory,
    major,
    settings: {
      max_worker_processes: "0",
      checkpoint_timeout: "1h",
      logging_collector: "off",
      log_destination: "stderr",
    },
    signal,
  });
}

function targetOf(
  context: OperationContext,
  options: ScratchOptions,
  { name, password }: Superuser,
  port: number,
): DatabaseTarget {
  const database = context.environment.database(options.database);
  return {
    name: `${database.name} (temporary cluster)`,
    url: new Secret(
      `postgresql://${name}:${encodeURIComponent(password)}@127.0.0.1:${port}/template1`,
      context.environment.directory,
    ),
    password: undefined,
    migrations: database.migrations,
  };
}
