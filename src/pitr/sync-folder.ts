import { readdir } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { serverBinaries } from "../postgres/binaries.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";
import { runProgram } from "../process/run-program.ts";

/**
 * When this resolves, everything of a restored cluster is on the disk: by one call for each of its file systems, as
 * PostgreSQL's own `recovery_init_sync_method = syncfs`; where that would not tell every error, by one for each file.
 * Throws `E_RESTORE_FOLDER`.
 *
 * @param directory the data folder; what its links lead to is synced as well
 * @param major of the server
 */
export async function syncFolder(
  directory: string,
  major: number,
  user: ServerUser,
  signal: AbortSignal,
): Promise<void> {
  const { exitCode, stderr } =
    (await syncFileSystems(directory, signal)) ?? (await syncFiles(directory, major, user, signal));
  if (exitCode === 0) return;
  throw new OpsError("E_RESTORE_FOLDER", `What was restored into ${directory} cannot be synced to its disk`, {
    cause: new Error(stderr.trim().split("\n").slice(-3).join("; ")),
    hint: "look at that disk (df -h, dmesg); then: ops runs resume",
  });
}

/** Undefined where this machine cannot. */
async function syncFileSystems(directory: string, signal: AbortSignal) {
  if (!tellsErrors()) return undefined;
  const links = join(directory, "pg_tblspc");
  const tablespaces = (await readdir(links)).map((each) => join(links, each));
  try {
    return await runProgram("sync", ["-f", directory, join(directory, "pg_wal"), ...tablespaces], {
      cwd: "/",
      signal,
    });
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_PROGRAM_MISSING") return undefined;
    throw error;
  }
}

/** syncfs(2): of a page that could not be written Linux tells from 5.8 on. */
function tellsErrors(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return process.platform === "linux" && (major > 5 || (major === 5 && minor >= 8));
}

async function syncFiles(directory: string, major: number, { prefix }: ServerUser, signal: AbortSignal) {
  const initdb = join(await serverBinaries(major), "initdb");
  const [file = "", ...args] = [...prefix, initdb, "--sync-only", "--pgdata", directory];
  return runProgram(file, args, { cwd: "/", signal });
}
