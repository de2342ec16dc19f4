import { chown, mkdir, open, readFile, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { OpsError } from "../core/errors.ts";
import { freePort } from "../process/free-port.ts";
import { runProgram } from "../process/run-program.ts";
import { serverBinaries } from "./binaries.ts";
import { type ServerUser, serverUser } from "./unprivileged.ts";

export interface ClusterOptions {
  /** The data folder. It is initialised where it is missing or empty, and started as it is where it holds a cluster. */
  readonly directory: string;
  /** Server settings, as in postgresql.conf; they win over the ones below. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Default: a free one. */
  readonly port?: number | undefined;
  /**
   * The superuser's, asked for with SCRAM. Default: none, and every user of this machine is let in. Takes effect where
   * the folder is initialised; it is on no disk but as PostgreSQL's own verifier.
   */
  readonly password?: string | undefined;
  /** Of the server programs. Default: the newest that the machine has. */
  readonly major?: number | undefined;
  /** Seconds until it must accept connections, or queries as a standby. Default: 60. */
  readonly startTimeout?: number | undefined;
  /** Reaches every program that is started on the way, and the server. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A running PostgreSQL server of our own on 127.0.0.1: superuser `postgres`. It outlives this process. */
export interface Cluster {
  readonly port: number;
  readonly directory: string;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** With the password, where it has one. Default database: `postgres`. */
  url(database?: string): string;
  /** Fast shutdown: transactions are rolled back, the data folder stays consistent. Fine when it is not running. */
  stop(): Promise<void>;
  /** SIGKILL for the postmaster, as a crash; its children end by themselves. */
  kill(): Promise<void>;
}

const startAttempts = 5;

/** What a throw-away server needs and a real one must not have: no sockets in the file system, little memory. */
const baseSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  wal_level: "replica",
  shared_buffers: "32MB",
  max_connections: "60",
  log_timezone: "UTC",
  timezone: "UTC",
};

/** Ready for connections when it resolves. Data checksums are on. Throws `E_POSTGRES_MISSING`, `E_CLUSTER_START`. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const directory = resolve(options.directory);
  const binaries = await serverBinaries(options.major);
  await mkdir(dirname(directory), { recursive: true });
  const user = await serverUser(directory);
  const run = serverProgram(binaries, user, options);

  if (!(await isInitialised(directory))) await initialise(directory, user, options.password, run);
  const log = await logFile(directory, user);
  const port = await start(directory, log, options, run);
  const pid = await postmasterPid(directory);
  if (pid === undefined)
    throw new OpsError("E_CLUSTER_START", "PostgreSQL ended right after its start", {
      hint: `look at ${log}`,
    });
  return {
    port,
    directory,
    pid,
    url: (database = "postgres") => clusterUrl(port, database, options.password),
    stop: () => stopCluster(directory),
    kill: async () => {
      process.kill(pid, "SIGKILL");
      await untilEnded(pid);
    },
  };
}

export function clusterUrl(port: number, database: string, password?: string): string {
  const user = password === undefined ? "postgres" : `postgres:${encodeURIComponent(password)}`;
  return `postgresql://${user}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
}

/** Fast shutdown of the server that runs on this data folder; fine where none does. */
export async function stopCluster(directory: string): Promise<void> {
  if ((await postmasterPid(directory)) === undefined) return;
  const run = serverProgram(await serverBinaries(), await serverUser(directory), {});
  const { exitCode, stderr } = await run("pg_ctl", ["stop", "-D", directory, "-m", "fast", "-w", "-t", "30"]);
  if (exitCode !== 0 && (await postmasterPid(directory)) !== undefined) {
    throw new OpsError("E_CLUSTER_STOP", "PostgreSQL did not stop", { cause: new Error(stderr.trim()) });
  }
}

/** The process id of the server on this data folder, or undefined where none runs. */
export async function postmasterPid(directory: string): Promise<number | undefined> {
  const text = await readFile(join(directory, "postmaster.pid"), "utf8").catch(absent);
  const pid = Number(text?.split("\n")[0]);
  return Number.isInteger(pid) && pid > 0 && isAlive(pid) && (await isServerOf(pid, directory))
    ? pid
    : undefined;
}

/**
 * The file survives a crash, and its number may belong to another program by now, or to the server of another folder. A
 * server's working directory is its data folder.
 */
async function isServerOf(pid: number, directory: string): Promise<boolean> {
  if (process.platform !== "linux") return true;
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(absent);
  if (name?.trim() !== "postgres") return false;
  // Another user's processes do not tell.
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return folder === undefined || folder === (await realpath(directory).catch(absent));
}

type RunServerProgram = (
  program: string,
  args: readonly string[],
  input?: string,
) => Promise<{ exitCode: number; stdout: string; stderr: string }>;

function serverProgram(
  binaries: string,
  user: ServerUser,
  options: Pick<ClusterOptions, "env" | "signal">,
): RunServerProgram {
  return (program, args, input) => {
    // A pipe of ours cannot be opened by its path as another user; one that `cat` makes there can.
    const piped = input === undefined ? [] : ["sh", "-c", 'cat | exec "$0" "$@"'];
    const [file = "", ...rest] = [...user.prefix, ...piped, join(binaries, program), ...args];
    // The server user may not be allowed into our working directory.
    return runProgram(file, rest, {
      env: { ...options.env },
      cwd: "/",
      signal: options.signal,
      ...(input === undefined ? {} : { input }),
    });
  };
}

/** Into a folder beside it that is then renamed: a data folder that exists is complete. */
async function initialise(
  directory: string,
  user: ServerUser,
  password: string | undefined,
  run: RunServerProgram,
): Promise<void> {
  const unfinished = `${directory}.initdb`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (user.owner !== undefined) await chown(unfinished, user.owner.uid, user.owner.gid);
  const auth = password === undefined ? ["--auth=trust"] : ["--auth=scram-sha-256", "--pwfile=/dev/stdin"];
  const args = [
    "--pgdata",
    unfinished,
    "--data-checksums",
    "--username=postgres",
    ...auth,
    "--encoding=UTF8",
    process.platform === "darwin" ? "--locale=C" : "--locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
  ];
  const { exitCode, stderr } = await run("initdb", args, password && `${password}\n`);
  if (exitCode !== 0) {
    throw new OpsError("E_CLUSTER_START", `PostgreSQL's initdb failed in ${directory}`, {
      cause: new Error(stderr.trim()),
    });
  }
  await rename(unfinished, directory);
}

async function start(
  directory: string,
  log: string,
  options: ClusterOptions,
  run: RunServerProgram,
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const settings = { ...baseSettings, ...options.settings, port: String(port) };
    const flags = Object.entries(settings).map(([name, value]) => `-c ${name}=${shellQuoted(value)}`);
    const logged = (await stat(log)).size;
    const { exitCode } = await run("pg_ctl", [
      "start",
      "-D",
      directory,
      "-l",
      log,
      "-w",
      "-t",
      String(options.startTimeout ?? 60),
      "-s",
      "-o",
      flags.join(" "),
    ]);
    if (exitCode === 0) return port;
    const said = (await readFile(log, "utf8")).slice(logged).trim();
    if (options.port === undefined && said.includes("Address already in use") && attempt < startAttempts)
      continue;
    throw new OpsError("E_CLUSTER_START", `PostgreSQL did not start in ${directory}`, {
      cause: new Error(said.split("\n").slice(-5).join("; ")),
      hint: `look at ${log}`,
    });
  }
}

/** pg_ctl hands `-o` to a shell. */
function shellQuoted(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

/** Beside the data folder, not in it: a base backup would copy it. */
async function logFile(directory: string, user: ServerUser): Promise<string> {
  const path = join(dirname(directory), `${basename(directory)}.log`);
  await using file = await open(path, "a", 0o600);
  if (user.owner !== undefined) await file.chown(user.owner.uid, user.owner.gid);
  return path;
}

async function isInitialised(directory: string): Promise<boolean> {
  return (await stat(join(directory, "PG_VERSION")).catch(absent)) !== undefined;
}

async function untilEnded(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((done) => setTimeout(done, 20));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
  return undefined;
}
