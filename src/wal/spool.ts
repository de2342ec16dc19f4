import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * The folder in pg_wal where push and fetch keep their place. PostgreSQL leaves it alone there, base backups leave it
 * out, and a file can be renamed from it to where the server wants it. Nothing but Node's own modules is imported
 * here: `ops wal push` is called for every segment.
 */
export interface Spool {
  /** Holds `NAME` for each file that is archived although the server did not ask for it yet. */
  readonly done: string;
  /** Who archives ahead of the server. */
  readonly pushLock: string;
  /** Holds files that the server will ask for, whole; `NAME.fetching` while one comes. */
  readonly fetched: string;
  /** Who fetches ahead of the server. */
  readonly fetchLock: string;
  /** Holds a mark for each archive that the server has in a store. */
  readonly archives: string;
}

/**
 * @param path of a file in pg_wal, as the server gives it (`%p`)
 * @returns undefined for a file anywhere else: nothing is kept beside it
 */
export function spoolOf(path: string): Spool | undefined {
  const folder = dirname(path);
  if (basename(folder) !== "pg_wal") return undefined;
  const spool = join(folder, "ops-spool");
  return {
    done: join(spool, "done"),
    pushLock: join(spool, "push.lock"),
    fetched: join(spool, "fetched"),
    fetchLock: join(spool, "fetch.lock"),
    archives: join(spool, "archives"),
  };
}

/**
 * Makes folders where they are not there yet, each in the one before. Not by the `recursive` of mkdir, which never ends
 * where a relative path begins in a working directory that was removed: with the data folder of a dropped restore.
 */
export function makeFolders(...paths: readonly string[]): void {
  for (const path of paths) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
