import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { OpsError, UsageError } from "../core/errors.ts";
import { openDatabase } from "./sqlite-database.ts";

/** An SQLite file of the state directory, and what is told where it cannot be used. */
export class StateFile {
  /** Absolute path. */
  readonly path: string;
  private readonly code: `E_${string}`;
  private readonly what: string;

  /** @param what it is, as in a sentence: `record of gates` */
  constructor(path: string, code: `E_${string}`, what: string) {
    this.path = path;
    this.code = code;
    this.what = what;
  }

  /** Makes the folder (mode 0700) and the file where they are missing. What has returned from a write is on disk. */
  open(): DatabaseSync {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    const database = openDatabase(this.path);
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  }

  /** For looking only. */
  openToRead(): DatabaseSync {
    return openDatabase(this.path, { readOnly: true });
  }

  /** Does the work; whatever goes wrong with the file is one error, which names it. */
  guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof OpsError) throw error;
      throw new OpsError(this.code, `The ${this.what} ${this.path} cannot be used`, {
        cause: error,
        hint: "check the folder's permissions and free space, or name another one: state-dir in .opsrc",
        retryable: false,
      });
    }
  }

  newer(): UsageError {
    return new UsageError(this.code, `The ${this.what} ${this.path} was written by a newer version of ops`, {
      hint: "upgrade ops on this machine",
    });
  }
}

/** Of the tables in it, as who made them noted; 0 where nobody has yet. */
export function formatOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.user_version);
}
