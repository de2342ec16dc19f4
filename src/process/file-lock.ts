import { setTimeout as delay } from "node:timers/promises";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";

export interface FileLockOptions {
  /** Milliseconds to wait for who has it. */
  readonly patience: number;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds between two tries. */
const tryEvery = 20;

/**
 * Does the work while no other process, and nothing else in this one, holds the same file. The kernel releases it when
 * its holder ends, however that ends: it is SQLite's own lock on an empty database. The file stays behind.
 *
 * Throws `E_FILE_LOCK` where it is held for longer than `patience`, or cannot be made.
 */
export async function withFileLock<T>(
  path: string,
  options: FileLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { DatabaseSync } = await import("node:sqlite");
  const end = performance.now() + options.patience;
  const database = open(() => new DatabaseSync(path, { timeout: 0 }), path);
  try {
    for (;;) {
      try {
        database.exec("BEGIN EXCLUSIVE");
        break;
      } catch (error) {
        if (!isBusy(error)) throw unusable(path, error);
        if (performance.now() >= end) throw held(path, options.patience);
        await delay(tryEvery, undefined, { signal: options.signal }).catch(() => undefined);
        options.signal?.throwIfAborted();
      }
    }
    return await work();
  } finally {
    database.close();
  }
}

function open<T>(make: () => T, path: string): T {
  try {
    return make();
  } catch (error) {
    throw unusable(path, error);
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}

function unusable(path: string, cause: unknown): OpsError {
  return new OpsError("E_FILE_LOCK", `The lock ${path} cannot be used: ${causeText(cause) ?? "unknown"}`, {
    hint: "let this user write in its folder",
    retryable: false,
  });
}

function held(path: string, patience: number): OpsError {
  return new OpsError(
    "E_FILE_LOCK",
    `Another process holds ${path} for more than ${formatDuration(patience)}`,
    {
      hint: `see which one: fuser ${path}`,
    },
  );
}
