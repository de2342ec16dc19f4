import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { OpsError } from "../core/errors.ts";

/**
 * The folder of PostgreSQL's server programs (`initdb`, `pg_ctl`, `postgres`): the newest version that the machine
 * has. Debian keeps them off PATH, one folder for each major version; Homebrew does much the same.
 * Throws `E_POSTGRES_MISSING`.
 */
export async function serverBinaries(): Promise<string> {
  for (const folder of await candidates()) {
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

async function candidates(): Promise<string[]> {
  return [
    ...(await versions("/usr/lib/postgresql", "")),
    ...(await versions("/usr", "pgsql-")),
    ...(await versions("/opt/homebrew/opt", "postgresql@")),
    ...(await versions("/usr/local/opt", "postgresql@")),
    ...(process.env.PATH ?? "").split(delimiter).filter((each) => each !== ""),
  ];
}

/** `<parent>/<prefix>17/bin`, `<parent>/<prefix>15/bin`, …: newest first. */
async function versions(parent: string, prefix: string): Promise<string[]> {
  const names = await readdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
  return names
    .filter((each) => each.startsWith(prefix) && /^\d+$/.test(each.slice(prefix.length)))
    .sort((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)))
    .map((each) => join(parent, each, "bin"));
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
