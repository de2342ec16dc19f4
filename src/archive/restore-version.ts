import { OpsError } from "../core/errors.ts";
import { findProgram, findPrograms, type Program } from "../postgres/programs.ts";
import type { Manifest } from "./manifest.ts";

const major = (version: string) => Number.parseInt(version, 10);

/**
 * The pg_restore for a server: it must not be older than the pg_dump that wrote the archive, and the server's own
 * version knows best what that server understands. Throws `E_PROGRAM_MISSING` and `E_PROGRAM_VERSION`.
 */
export async function restoreProgram(manifest: Manifest, serverVersion: string): Promise<Program> {
  const atLeast = major(manifest.dumpProgram);
  const wanted = Math.max(atLeast, major(serverVersion));
  const own = (await findPrograms("pg_restore")).find((each) => each.major === wanted);
  return own ?? findProgram("pg_restore", atLeast);
}

/** A dump may use what an older server does not have. Throws `E_SERVER_OLDER`. */
export function refuseOlderServer(manifest: Manifest, serverVersion: string): void {
  if (major(serverVersion) >= major(manifest.source.serverVersion)) return;
  throw new OpsError(
    "E_SERVER_OLDER",
    `Backup ${manifest.id} is of PostgreSQL ${manifest.source.serverVersion}, the server is ${serverVersion}: a dump does not always load into an older version`,
    {
      hint: "restore on a server that is as new, or try it with: --older-server allow",
      retryable: false,
    },
  );
}
