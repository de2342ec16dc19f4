import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { postgres17Folder } from "../../bin/postgres17.mjs";

/**
 * The folder of PostgreSQL 17's programs. From now on it is on PATH, where the product finds them for a server of that
 * version. Throws where the set-up has not brought them.
 */
export function postgres17(): string {
  const folders = [
    "/usr/lib/postgresql/17/bin",
    "/opt/homebrew/opt/postgresql@17/bin",
    "/usr/local/opt/postgresql@17/bin",
    postgres17Folder,
  ];
  const folder = folders.find((each) => existsSync(join(each, "postgres")));
  if (folder === undefined) {
    throw new Error("PostgreSQL 17 is not here: run node bin/setup.mjs --tests");
  }
  const path = (process.env.PATH ?? "").split(delimiter);
  if (!path.includes(folder)) process.env.PATH = [...path, folder].join(delimiter);
  return folder;
}
