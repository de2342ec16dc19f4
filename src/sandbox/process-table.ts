import { readdir, readFile, readlink } from "node:fs/promises";
import { runProgram } from "../process/run-program.ts";
import type { SandboxLayout } from "./layout.ts";

/** Every process of a sandbox is started with it, so that one that nobody recorded is found too. */
export const marker = "OPS_SANDBOX";

export function markerEnvironment(layout: SandboxLayout): Record<string, string> {
  return { [marker]: layout.directory };
}

/**
 * When the process began, as text that is compared and never read: together with the pid it names one process for
 * good. Undefined where it has ended; a zombie has ended.
 */
export async function startTime(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") {
    const { exitCode, stdout } = await runProgram("ps", ["-o", "lstart=", "-p", String(pid)]);
    return exitCode === 0 ? stdout.trim() : undefined;
  }
  const text = await readProcess(pid, "stat");
  // proc(5): the name in brackets may hold anything; after it come the state (field 3) … start time (field 22).
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

export interface FoundProcess {
  readonly pid: number;
  /** A server process of PostgreSQL: it has signals of its own. */
  readonly isPostgres: boolean;
}

/**
 * The processes of this sandbox that run now, by their marker; PostgreSQL overwrites its environment and is known
 * by its working folder. Never this process. Only where there is a /proc: elsewhere the records must do.
 */
export async function markedProcesses(layout: SandboxLayout): Promise<FoundProcess[]> {
  if (process.platform !== "linux") return [];
  const pids = (await readdir("/proc")).filter((each) => /^\d+$/.test(each)).map(Number);
  const found = await Promise.all(
    pids.filter((pid) => pid !== process.pid).map((pid) => inspect(pid, layout)),
  );
  return found.filter((each) => each !== undefined);
}

async function inspect(pid: number, layout: SandboxLayout): Promise<FoundProcess | undefined> {
  if ((await startTime(pid)) === undefined) return undefined;
  const isPostgres = (await readProcess(pid, "comm"))?.trim() === "postgres";
  const environment = (await readProcess(pid, "environ"))?.split("\0");
  if (environment?.includes(`${marker}=${layout.directory}`) === true) return { pid, isPostgres };
  if (!isPostgres) return undefined;
  const folder = (await readlink(`/proc/${pid}/cwd`).catch(gone))?.replace(/ \(deleted\)$/, "");
  const ours = folder === layout.cluster || folder === `${layout.cluster}.initdb`;
  return ours ? { pid, isPostgres } : undefined;
}

async function readProcess(pid: number, file: "stat" | "environ" | "comm"): Promise<string | undefined> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(gone);
}

/** It ended while we looked, or it is somebody else's and so not of a sandbox of ours. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(error.code ?? "")) return undefined;
  throw error;
}
