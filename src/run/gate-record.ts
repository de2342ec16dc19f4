import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./sqlite-database.ts";
import { formatOf, StateFile } from "./state-file.ts";

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
  private readonly file: StateFile;

  private constructor(file: StateFile, database: DatabaseSync) {
    this.file = file;
    this.database = database;
  }

  /** Makes the folder (mode 0700) and the file where they are missing. Throws `E_GATE_RECORD`. */
  static open(stateDirectory: string): GateRecord {
    const file = fileIn(stateDirectory);
    return file.guarded(() => {
      const record = new GateRecord(file, file.open());
      try {
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
    if (!existsSync(file.path)) return undefined;
    return file.guarded(() => {
      const record = new GateRecord(file, file.openToRead());
      const version = formatOf(record.database);
      if (version > 0 && version <= formatVersion) return record;
      record.close();
      // A process that made the file has not made its tables: nothing was kept.
      if (version === 0) return undefined;
      throw file.newer();
    });
  }

  close(): void {
    this.database.close();
  }

  /** Reads as of one moment. Throws `E_GATE_RECORD`. */
  read<T>(work: (database: DatabaseSync) => T): T {
    return this.file.guarded(() => work(this.database));
  }

  /** Durable when it returns, all of it or nothing. Throws `E_GATE_RECORD`. */
  write<T>(work: (database: DatabaseSync) => T): T {
    return this.file.guarded(() => inTransaction(this.database, () => work(this.database)));
  }

  private prepare(): void {
    const version = formatOf(this.database);
    if (version > formatVersion) throw this.file.newer();
    if (version === formatVersion) return;
    inTransaction(this.database, () =>
      this.database.exec(`${tables} PRAGMA user_version = ${formatVersion}`),
    );
  }
}

function fileIn(stateDirectory: string): StateFile {
  return new StateFile(join(stateDirectory, "gates.db"), "E_GATE_RECORD", "record of gates");
}
