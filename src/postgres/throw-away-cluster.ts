import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { liveness, thisProcess } from "../process/live-process.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import { type Cluster, postmasterPid, startCluster } from "./cluster.ts";
import { watchFolder } from "./watchdog.ts";

export interface ThrowAwayOptions {
  /** The folder that throw-away clusters live in, each in a folder of its own; made where it is missing. */
  readonly parent: string;
  /** They win over the ones below. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the server programs. Default: the newest that the machine has. */
  readonly major?: number | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Nothing here must survive a power cut, so nothing waits for a disk. Autovacuum and checkpoints would put locks and
 * WAL of their own between the ones that are measured.
 */
const throwAwaySettings = {
  fsync: "off",
  synchronous_commit: "off",
  autovacuum: "off",
  checkpoint_timeout: "1h",
  max_wal_size: "4GB",
  max_locks_per_transaction: "1024",
  shared_buffers: "128MB",
};

const ownerSchema = z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() });

/**
 * Starts a cluster of our own, works on it, and removes it whatever happens. It holds copies of real rows, so it asks
 * everybody for a password that only this process knows. Where this process is killed instead,
 * a watchdog ends the server and removes its folder; where that was killed too, the next call with the same parent does.
 */
export async function withThrowAwayCluster<T>(
  options: ThrowAwayOptions,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  return withThrowAwayFolder(options.parent, async (folder) =>
    work(
      await startCluster({
        directory: join(folder, "data"),
        major: options.major,
        settings: { ...throwAwaySettings, ...options.settings },
        password: randomBytes(24).toString("base64url"),
        signal: options.signal,
      }),
    ),
  );
}

/**
 * A folder of its own below `parent` for a cluster in `data` there, which `work` makes and starts. Afterwards the
 * server is ended and the folder removed, whatever happens and whoever is killed, as above.
 */
export async function withThrowAwayFolder<T>(
  parent: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await removeAbandonedClusters(parent);
  const folder = join(parent, `cluster-${randomBytes(4).toString("hex")}`);
  // Before there is a folder: no moment leaves one that nobody watches.
  const watchdog = watchFolder(folder);
  try {
    await makeOwned(folder);
    return await work(folder);
  } finally {
    await discard(folder);
    watchdog.release();
  }
}

/** Ends and removes the clusters whose process is gone. Returns how many there were. */
export async function removeAbandonedClusters(parent: string): Promise<number> {
  const names = await readdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  let removed = 0;
  for (const name of names) {
    const folder = join(parent, name);
    const owner = await ownerOf(folder);
    if (owner === undefined || liveness(owner) !== "gone") continue;
    await discard(folder);
    removed += 1;
  }
  return removed;
}

/** Makes the folder and says in it whose it is. */
async function makeOwned(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  // In one step, because others read it while they look for what was abandoned.
  await writeAtomically(join(folder, "owner.json"), `${JSON.stringify(thisProcess())}\n`);
}

/** Undefined for what is no cluster's folder of ours. */
async function ownerOf(folder: string) {
  const text = await readFile(join(folder, "owner.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  return text === undefined ? undefined : ownerSchema.parse(JSON.parse(text));
}

/** SIGQUIT is PostgreSQL's immediate shutdown: nothing is written any more. */
async function discard(folder: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const pid = await postmasterPid(join(folder, "data"));
    if (pid === undefined) break;
    signal(pid, performance.now() < deadline ? "SIGQUIT" : "SIGKILL");
    await new Promise((done) => setTimeout(done, 25));
  }
  // Children of the server that still end may write into it.
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
