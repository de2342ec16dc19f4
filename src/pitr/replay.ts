import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { OpsError, UsageError } from "../core/errors.ts";
import { postmasterPid, startCluster, stopCluster } from "../postgres/cluster.ts";
import type { Program } from "../postgres/programs.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { formatLsn, type Lsn, lsn, parseLsn } from "../wal-archive/lsn.ts";
import { endOf, parseSegment } from "../wal-archive/segment.ts";
import type { ArchivedBase } from "./archive-state.ts";
import { type ReplayEnd, replayEnd, requireAsked } from "./replay-end.ts";
import type { RestoreFolder } from "./restore-folder.ts";
import { type RestoreTarget, shownTarget } from "./restore-target.ts";
import { standbyMinimums } from "./standby-minimums.ts";

export interface ReplayWork {
  readonly folder: RestoreFolder;
  readonly base: ArchivedBase;
  readonly target: RestoreTarget;
  readonly controldata: Program;
  readonly port: number | undefined;
  /** Bytes of shared_buffers; undefined: by the memory that is free. */
  readonly sharedBuffers: number | undefined;
  /** Where the replay is expected to end, for the progress; undefined: only the replay shows. */
  readonly until: Lsn | undefined;
  readonly report: Report;
  /** Variables that the server's restore_command needs. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Replayed extends ReplayEnd {
  readonly port: number;
  readonly state: "paused" | "promoted";
}

/** Seconds until a server in recovery must be consistent: the WAL of the base backup itself has to be replayed. */
const consistentWithin = 24 * 3600;
/** Milliseconds between two looks into the server's log. */
const pollInterval = 200;

/**
 * Starts the server on the restored folder, watches its log until it has replayed what was asked for, and leaves it
 * running on 127.0.0.1. A server that an earlier attempt started is watched further. Throws `E_RESTORE_TARGET` where
 * the WAL ends before the target, `E_REPLAY` where the server ends for another reason.
 */
export async function replay(
  context: OperationContext,
  work: ReplayWork,
  signal: AbortSignal,
): Promise<Replayed> {
  const watching = new AbortController();
  const progress = reportReplay(context, work, AbortSignal.any([signal, watching.signal]));
  try {
    return await startedAndStopped(context, work, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw explained(work, await logOf(work.folder), error);
  } finally {
    watching.abort();
    await progress;
  }
}

/**
 * Where the original was given more connections or the like behind the base backup, a server that has as many as before
 * waits there without an end. Its control file then says how many: it is started again with these.
 */
async function startedAndStopped(
  context: OperationContext,
  work: ReplayWork,
  signal: AbortSignal,
): Promise<Replayed> {
  const { directory } = work.folder;
  let given: Minimums = {};
  for (;;) {
    try {
      if ((await postmasterPid(directory)) === undefined) {
        given = await standbyMinimums(directory, work.controldata, signal);
        await start(work, given, signal);
      }
      return await untilStopped(context, work, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!hasTooLittle(await logOf(work.folder))) throw error;
      const wanted = await standbyMinimums(directory, work.controldata, signal);
      if (JSON.stringify(wanted) === JSON.stringify(given)) throw error;
      await stopCluster(directory);
    }
  }
}

type Minimums = Readonly<Record<string, string>>;

function hasTooLittle(log: string): boolean {
  return /insufficient parameter settings|If recovery is unpaused, the server will shut down/.test(log);
}

async function start(work: ReplayWork, minimums: Minimums, signal: AbortSignal): Promise<void> {
  const { folder, base } = work;
  await startCluster({
    directory: folder.directory,
    port: work.port,
    major: Number.parseInt(base.serverVersion, 10),
    startTimeout: consistentWithin,
    settings: {
      ...minimums,
      shared_buffers: `${Math.floor((work.sharedBuffers ?? usualBuffers(process.availableMemory())) / 1024)}kB`,
      // The server's log is how the replay is watched.
      logging_collector: "off",
      log_destination: "stderr",
      log_min_messages: "log",
      log_error_verbosity: "default",
      // The original's, which may run on this machine.
      data_directory: folder.directory,
      external_pid_file: "",
      "cron.launch_active_jobs": "off",
      lc_messages: "C",
    },
    env: work.environment,
    signal,
  });
}

/**
 * Pages that the replay changes again and again stay in memory. A guest on a machine that may serve others takes an
 * eighth of what is free.
 *
 * @param free bytes
 */
export function usualBuffers(free: number): number {
  return Math.min(2 ** 30, Math.max(32 * 2 ** 20, free / 8));
}

async function untilStopped(
  context: OperationContext,
  { folder, target }: ReplayWork,
  signal: AbortSignal,
): Promise<Replayed> {
  for (;;) {
    const pid = await postmasterPid(folder.directory);
    const log = await logOf(folder);
    const isPaused = log.includes("pausing at the end of recovery");
    if (pid === undefined) throw new Error("PostgreSQL ended during the replay");
    if (hasTooLittle(log)) throw new Error("PostgreSQL waits for settings as large as its original's");
    const lines = (await folder.read("postmaster.pid"))?.split("\n") ?? [];
    const isPromoted = log.includes("database system is ready to accept connections");
    if (isPaused || isPromoted) {
      const end = replayEnd(log);
      requireAsked(target, end);
      return { port: Number(lines[3]), state: isPromoted ? "promoted" : "paused", ...end };
    }
    await context.clock.sleep(pollInterval, signal);
  }
}

/** Ends with the signal. */
async function reportReplay(context: OperationContext, work: ReplayWork, signal: AbortSignal): Promise<void> {
  const { base, folder, report, until } = work;
  const from = parseLsn(base.startLsn);
  const total = until === undefined ? undefined : Number(until - from);
  try {
    for (;;) {
      const restored = [...(await logOf(folder)).matchAll(/restored log file "([0-9A-F]{24})"/g)].at(-1)?.[1];
      const segment = restored === undefined ? undefined : parseSegment(restored, base.segmentBytes);
      const at = segment === undefined ? from : endOf(segment, base.segmentBytes);
      const done = Math.min(Number(lsn(at - from)), total ?? Number.POSITIVE_INFINITY);
      const whole = total === undefined ? {} : { total };
      report.progress({ message: `replaying WAL (${formatLsn(at)})`, done, ...whole, unit: "bytes" });
      await context.clock.sleep(pollInterval, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** What the server has said since its last start. */
async function logOf(folder: RestoreFolder): Promise<string> {
  const path = join(`${folder.directory}.log`);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.slice(Math.max(0, text.lastIndexOf("starting PostgreSQL ")));
}

function explained({ target, folder, base }: ReplayWork, log: string, error: unknown): unknown {
  if (log.includes("recovery ended before configured recovery target was reached")) {
    const last = replayEnd(log).lastTransaction;
    return new UsageError(
      "E_RESTORE_TARGET",
      `Cannot restore to ${shownTarget(target)}: the archived WAL ${target.kind === "name" ? "behind the base backup does not have it" : "ends before it"}` +
        (last === null
          ? `; no transaction is behind base backup ${base.id}, of ${base.stoppedAt}`
          : `; its last transaction is of ${last}`),
      {
        hint:
          target.kind === "name"
            ? `the archive does not know this name: it may be of before base backup ${base.id}; name an older one: --base ID (see: ops pitr base list)`
            : `restore to an earlier moment, or to the last one that there is: --latest (${folder.directory} is removed by: ops runs rollback)`,
      },
    );
  }
  // The server's own, and those of its restore_command: `✖ … (E_SECRET)`.
  const complaint = log
    .split("\n")
    .filter((line) => /(FATAL|PANIC|ERROR): |✖ .*\((?!E_WAL_MISSING)E_\w+\)$/.test(line))
    .slice(-3)
    .join("; ");
  if (complaint === "") return error;
  return new OpsError("E_REPLAY", "PostgreSQL could not replay the WAL", {
    cause: new Error(complaint),
    hint: `look at ${folder.directory}.log; then go on with: ops runs resume`,
  });
}
