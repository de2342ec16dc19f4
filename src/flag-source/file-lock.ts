import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { digest } from "../core/digest.ts";
import { OpsError } from "../core/errors.ts";

/** Milliseconds between two tries, and after which it is given up. */
const lookEvery = 20;
const patience = 10_000;

/**
 * Works while no other process of `ops` changes the same file. The lock is one of the kernel's, on a file in the state
 * folder (by SQLite): it ends with its process, however that ends. Throws `E_FLAG_LOCKED` after ten seconds.
 */
export async function withFileLock<T>(
  stateDirectory: string,
  file: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const folder = join(stateDirectory, "flag-locks");
  mkdirSync(folder, { recursive: true });
  const database = new DatabaseSync(join(folder, digest(file).slice("sha256:".length, 24)), { timeout: 0 });
  try {
    await acquire(database, file, signal);
    return await work();
  } finally {
    database.close();
  }
}

async function acquire(database: DatabaseSync, file: string, signal: AbortSignal): Promise<void> {
  const until = performance.now() + patience;
  for (;;) {
    signal.throwIfAborted();
    try {
      database.exec("BEGIN EXCLUSIVE");
      return;
    } catch (error) {
      if (!(error instanceof Error && /database is locked/.test(error.message))) throw error;
    }
    if (performance.now() > until) {
      throw new OpsError(
        "E_FLAG_LOCKED",
        `Another ops has been changing ${file} for ${patience / 1000} seconds`,
        {
          hint: "try again when it has ended; nothing was written",
        },
      );
    }
    await delay(lookEvery, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
