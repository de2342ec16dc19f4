import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { isExecutable, programFolders } from "./program-folders.ts";

/**
 * The folder of PostgreSQL's server programs (`initdb`, `pg_ctl`, `postgres`): the newest version that the machine
 * has. Debian keeps them off PATH, one folder for each major version; Homebrew does much the same.
 * Throws `E_POSTGRES_MISSING`.
 */
export async function serverBinaries(): Promise<string> {
  for (const folder of await programFolders()) {
    if (await isExecutable(join(folder, "initdb"))) return folder;
  }
  throw new OpsError(
    "E_POSTGRES_MISSING",
    "PostgreSQL's server programs (initdb, pg_ctl) are not installed",
    {
      hint:
        process.platform === "darwin" ? "run: brew install postgresql" : "run: apt-get install postgresql",
      retryable: false,
    },
  );
}
