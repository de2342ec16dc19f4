import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { OpsError, UsageError } from "../core/errors.ts";
import { inTransaction, openDatabase } from "./sqlite-database.ts";

const formatVersion = 1;

const tables = `
CREATE TABLE IF NOT EXISTS override (
  id TEXT PRIMARY KEY, environment TEXT NOT NULL, gate TEXT NOT NULL, check_id TEXT NOT NULL,
  given_by TEXT NOT NULL, actor TEXT NOT NULL, host TEXT NOT NULL, reason TEXT NOT NULL, run TEXT,
  given_at INTEGER NOT NULL, until INTEGER NOT NULL,
  revoked_at INTEGER, revoked_by TEXT, revoked_actor TEXT, revoked_host TEXT, revoked_reason TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS kept_result (
  environment TEXT NOT NULL, gate TEXT NOT NULL, check_id TEXT NOT NULL,
  digest TEXT NOT NULL, measured_at INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (environment, gate, check_id)
) STRICT;
CREATE TABLE IF NOT EXISTS verdict (
  id INTEGER PRIMARY KEY, environment TEXT NOT NULL, gate TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS verdict_of_gate ON verdict (environment, gate, id);
`;

/**
 * What gates remember: overrides (for ever), results that are still fresh, and the newest verdicts. An SQLite file beside
 * the journal, in WAL mode with `synchronous=FULL`: what a write has returned from is on disk, all of it or nothing.
 */
export class GateRecord {
  readonly database: DatabaseSync;
  private readonly file: string;

  private constructor(file: string, readOnly: boolean) {
    this.file = file;
    this.database = openDatabase(file, { readOnly });
  }

  /** Makes the folder (mode 0700) and the file where they are missing. Throws `E_GATE_RECORD`. */
  static open(stateDirectory: string): GateRecord {
    const file = fileIn(stateDirectory);
    return guarded(file, () => {
      mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
      const record = new GateRecord(file, false);
      try {
        record.database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
        record.prepare();
      } catch (error) {
        record.close();
        throw error;
      }
      return record;
    });
  }

  /** For looking only; undefined where nothing was ever kept. Throws `E_GATE_RECORD`. */
  static openToRead(stateDirectory: string): GateRecord | undefined {
    const file = fileIn(stateDirectory);
    if (!existsSync(file)) return undefined;
    return guarded(file, () => {
      const record = new GateRecord(file, true);
      const version = record.version();
      if (version > 0 && version <= formatVersion) return record;
      record.close();
      // A process that made the file has not made its tables: nothing was kept.
      if (version === 0) return undefined;
      throw newer(file);
    });
  }

  close(): void {
    this.database.close();
  }

  /** Reads as of one moment. Throws `E_GATE_RECORD`. */
  read<T>(work: (database: DatabaseSync) => T): T {
    return guarded(this.file, () => work(this.database));
  }

  /** Durable when it returns, all of it or nothing. Throws `E_GATE_RECORD`. */
  write<T>(work: (database: DatabaseSync) => T): T {
    return guarded(this.file, () => inTransaction(this.database, () => work(this.database)));
  }

  private prepare(): void {
    if (this.version() > formatVersion) throw newer(this.file);
    if (this.version() === formatVersion) return;
    inTransaction(this.database, () =>
      this.database.exec(`${tables} PRAGMA user_version = ${formatVersion}`),
    );
  }

  private version(): number {
    return Number(this.database.prepare("PRAGMA user_version").get()?.user_version);
  }
}

function fileIn(stateDirectory: string): string {
  return join(stateDirectory, "gates.db");
}

function newer(file: string): UsageError {
  return new UsageError("E_GATE_RECORD", `${file} was written by a newer version of ops`, {
    hint: "upgrade ops on this machine",
  });
}

function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof OpsError) throw error;
    throw new OpsError("E_GATE_RECORD", `The record of gates ${file} cannot be used`, {
      cause: error,
      hint: "check the folder's permissions and free space, or name another one: state-dir in .opsrc",
      retryable: false,
    });
  }
}
