import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { isExecutable, programFolders } from "./program-folders.ts";
import { knownProgram } from "./programs.ts";

/**
 * The folder of PostgreSQL's server programs (`initdb`, `pg_ctl`, `postgres`): of this major version, or the newest that
 * the machine has. Debian keeps them off PATH, one folder for each major version; Homebrew does much the same.
 * Throws `E_POSTGRES_MISSING`.
 */
export async function serverBinaries(major?: number): Promise<string> {
  for (const folder of await programFolders()) {
    if (!(await isExecutable(join(folder, "initdb")))) continue;
    if (major === undefined || (await majorOf(folder)) === major) return folder;
  }
  if (major !== undefined) missing(major);
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

function missing(major: number): never {
  throw new OpsError("E_POSTGRES_MISSING", `The server programs of PostgreSQL ${major} are not installed`, {
    hint:
      process.platform === "darwin"
        ? `run: brew install postgresql@${major}`
        : `run: apt-get install postgresql-${major}`,
    retryable: false,
  });
}

/** The oldest major version whose server programs are here and that is not older. Throws `E_POSTGRES_MISSING`. */
export async function serverMajor(atLeast: number): Promise<number> {
  let oldest: number | undefined;
  for (const folder of await programFolders()) {
    if (!(await isExecutable(join(folder, "initdb")))) continue;
    const major = await majorOf(folder);
    if (major >= atLeast && major < (oldest ?? Number.POSITIVE_INFINITY)) oldest = major;
  }
  return oldest ?? missing(atLeast);
}

async function majorOf(folder: string): Promise<number> {
  return (await knownProgram(join(folder, "postgres")))?.major ?? Number.NaN;
}
