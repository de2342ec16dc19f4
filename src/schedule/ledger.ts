import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { clockTolerance, Outbox } from "../outbox/outbox.ts";
import { prepareOutbox } from "../outbox/tables.ts";
import type { ProcessIdentity } from "../process/live-process.ts";
import { inTransaction } from "../run/sqlite-database.ts";
import { formatOf, StateFile } from "../run/state-file.ts";

const formatVersion = 2;

const tables = `
CREATE TABLE IF NOT EXISTS schedule (
  environment TEXT NOT NULL, name TEXT NOT NULL,
  definition TEXT NOT NULL, registered_at INTEGER NOT NULL, counts_from INTEGER NOT NULL,
  silent_since INTEGER, failing INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (environment, name)
) STRICT;
CREATE TABLE IF NOT EXISTS start (
  id INTEGER PRIMARY KEY, environment TEXT NOT NULL, name TEXT NOT NULL, due_at INTEGER NOT NULL,
  state TEXT NOT NULL, attempt INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER,
  supervisor TEXT, child TEXT, run TEXT, exit_code INTEGER, message TEXT, hint TEXT,
  UNIQUE (environment, name, due_at)
) STRICT;
CREATE TABLE IF NOT EXISTS tick (environment TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
`;

/** `running` until somebody has seen it end; `skipped` because the run before it still went on; `missed`: too late. */
export type StartState = "running" | "done" | "failed" | "missed" | "skipped";

/** One time that was due, and what became of it. Times in milliseconds since 1970. */
export interface Start {
  readonly id: number;
  readonly name: string;
  readonly dueAt: number;
  readonly state: StartState;
  /** From 1; 2 where it was cut off and taken up again. */
  readonly attempt: number;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly supervisor: ProcessIdentity | null;
  /** Null until it is about to run: nothing has run then. */
  readonly child: ProcessIdentity | null;
  readonly run: string | null;
  readonly exitCode: number | null;
  readonly message: string | null;
  readonly hint: string | null;
}

export interface Registered {
  readonly registeredAt: number;
  /** Times up to this one are not owed. */
  readonly countsFrom: number;
  readonly silentSince: number | null;
  readonly failing: boolean;
}

/**
 * The durable place of schedules: an SQLite file beside the journal, in WAL mode with `synchronous=FULL`. What has
 * returned is on disk; two processes never own the same start.
 */
export class Ledger {
  readonly database: DatabaseSync;
  readonly environment: string;
  /** Who is still to hear of it; in the same file, and so in the same transactions. */
  readonly outbox: Outbox;
  private readonly file: StateFile;

  private constructor(file: StateFile, database: DatabaseSync, environment: string) {
    this.file = file;
    this.environment = environment;
    this.database = database;
    this.outbox = new Outbox(database, file.path, environment);
  }

  /** Whether schedules ever ran here; the outbox of runs alone is none. */
  static exists(stateDirectory: string): boolean {
    if (!Outbox.exists(stateDirectory)) return false;
    const file = fileIn(stateDirectory);
    return file.guarded(() => {
      const database = file.openToRead();
      try {
        return formatOf(database) > 0;
      } finally {
        database.close();
      }
    });
  }

  /** Makes the folder (mode 0700) and the file where they are missing. Throws `E_SCHEDULE_LEDGER`. */
  static open(stateDirectory: string, environment: string): Ledger {
    const file = fileIn(stateDirectory);
    return file.guarded(() => {
      const ledger = new Ledger(file, file.open(), environment);
      const version = formatOf(ledger.database);
      if (version > formatVersion) {
        ledger.close();
        throw file.newer();
      }
      inTransaction(ledger.database, () => {
        prepareOutbox(ledger.database);
        if (version < formatVersion) ledger.database.exec(`${tables} PRAGMA user_version = ${formatVersion}`);
      });
      return ledger;
    });
  }

  /** For looking only. Throws `E_SCHEDULE_LEDGER`. */
  static openToRead(stateDirectory: string, environment: string): Ledger {
    const file = fileIn(stateDirectory);
    return file.guarded(() => {
      const ledger = new Ledger(file, file.openToRead(), environment);
      if (formatOf(ledger.database) >= formatVersion) return ledger;
      ledger.close();
      Ledger.open(stateDirectory, environment).close();
      return new Ledger(file, file.openToRead(), environment);
    });
  }

  close(): void {
    this.database.close();
  }

  /** When `run-due` was last called; undefined where it never was. */
  lastTick(): number | undefined {
    const row = this.get("SELECT at FROM tick WHERE environment = ?");
    return row === undefined ? undefined : Number(row.at);
  }

  registered(name: string): Registered | undefined {
    const row = this.get("SELECT * FROM schedule WHERE environment = ? AND name = ?", name);
    return row === undefined
      ? undefined
      : {
          registeredAt: Number(row.registered_at),
          countsFrom: Number(row.counts_from),
          silentSince: numberOrNull(row.silent_since),
          failing: row.failing === 1,
        };
  }

  /** The newest time that was dealt with, whatever became of it. `now` in milliseconds, as in those that follow. */
  newest(name: string, now: number): Start | undefined {
    return this.start(`AND ${notAhead(now)} ORDER BY due_at DESC LIMIT 1`, name);
  }

  lastSuccess(name: string, now: number): Start | undefined {
    return this.start(`AND state = 'done' AND ${notAhead(now)} ORDER BY due_at DESC LIMIT 1`, name);
  }

  /** The newest one that ran or was to run. */
  lastRun(name: string, now: number): Start | undefined {
    return this.start(
      `AND state IN ('running', 'done', 'failed') AND ${notAhead(now)} ORDER BY due_at DESC LIMIT 1`,
      name,
    );
  }

  running(name: string): Start | undefined {
    return this.start("AND state = 'running' ORDER BY due_at DESC LIMIT 1", name);
  }

  /** Durable when it returns, all of it or nothing. */
  transaction<T>(work: () => T): T {
    return this.file.guarded(() => inTransaction(this.database, work));
  }

  private start(rest: string, name: string): Start | undefined {
    const row = this.get(`SELECT * FROM start WHERE environment = ? AND name = ? ${rest}`, name);
    return row === undefined ? undefined : startOf(row);
  }

  private get(query: string, ...values: string[]): Row | undefined {
    return this.file.guarded(() => this.database.prepare(query).get(this.environment, ...values));
  }
}

/** Neither due nor ended in the future: such a start would stand for every one until then. */
function notAhead(now: number): string {
  const limit = Math.round(now) + clockTolerance;
  return `due_at <= ${limit} AND coalesce(ended_at, due_at) <= ${limit}`;
}

type Row = Record<string, SQLOutputValue>;

function startOf(row: Row): Start {
  const identity = (value: SQLOutputValue | undefined) =>
    typeof value === "string" ? (JSON.parse(value) as ProcessIdentity) : null;
  return {
    id: Number(row.id),
    name: String(row.name),
    dueAt: Number(row.due_at),
    state: String(row.state) as StartState,
    attempt: Number(row.attempt),
    startedAt: Number(row.started_at),
    endedAt: numberOrNull(row.ended_at),
    supervisor: identity(row.supervisor),
    child: identity(row.child),
    run: textOrNull(row.run),
    exitCode: numberOrNull(row.exit_code),
    message: textOrNull(row.message),
    hint: textOrNull(row.hint),
  };
}

function numberOrNull(value: SQLOutputValue | undefined): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function textOrNull(value: SQLOutputValue | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

function fileIn(stateDirectory: string): StateFile {
  return new StateFile(Outbox.file(stateDirectory), "E_SCHEDULE_LEDGER", "record of schedules");
}
