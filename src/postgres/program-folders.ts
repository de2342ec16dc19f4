import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";

/**
 * Where PostgreSQL's programs may be, newest version first: Debian, Red Hat and Homebrew keep each major version in a
 * folder of its own, off PATH; then the folders of PATH. Not every one of them exists.
 */
export async function programFolders(): Promise<string[]> {
  const all = [
    ...(await versions("/usr/lib/postgresql", "")),
    ...(await versions("/usr", "pgsql-")),
    ...(await versions("/opt/homebrew/opt", "postgresql@")),
    ...(await versions("/usr/local/opt", "postgresql@")),
    ...(process.env.PATH ?? "").split(delimiter).filter((each) => each !== ""),
  ];
  return [...new Set(all)];
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
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
