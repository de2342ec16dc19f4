import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { liveness, type ProcessIdentity, thisProcess } from "../process/live-process.ts";
import type { JournalEntry, RunEvent, RunRequest } from "./events.ts";
import { type Journal, type Lease, type LeaseHolder, leaseDuration, runTarget } from "./journal.ts";
import { kept } from "./kept.ts";
import { inTransaction } from "./sqlite-database.ts";
import { formatOf, StateFile } from "./state-file.ts";

const formatVersion = 1;

const schema = `
CREATE TABLE IF NOT EXISTS run (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS event (
  position INTEGER PRIMARY KEY,
  run TEXT NOT NULL REFERENCES run (id),
  sequence INTEGER NOT NULL,
  at TEXT NOT NULL,
  type TEXT NOT NULL,
  step TEXT,
  data TEXT,
  UNIQUE (run, sequence)
) STRICT;
CREATE TABLE IF NOT EXISTS lease (
  target TEXT PRIMARY KEY,
  token TEXT NOT NULL,
  holder TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS event_is_never_changed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS event_is_never_removed BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
`;

/** The journal of one machine: an SQLite file, in WAL mode with `synchronous=FULL`: durable when a call returns. */
export class SqliteJournal implements Journal {
  private readonly database: DatabaseSync;
  private readonly clock: Clock;

  private readonly self: ProcessIdentity;
  private readonly file: StateFile;

  private constructor(file: StateFile, database: DatabaseSync, clock: Clock, self: ProcessIdentity) {
    this.file = file;
    this.database = database;
    this.clock = clock;
    this.self = self;
  }

  static file(stateDirectory: string): string {
    return join(stateDirectory, "journal.db");
  }

  static exists(stateDirectory: string): boolean {
    return existsSync(SqliteJournal.file(stateDirectory));
  }

  /** Makes the folder (mode 0700) and the file where they are missing. Throws `E_JOURNAL`. */
  static open(stateDirectory: string, clock: Clock, self = thisProcess()): SqliteJournal {
    const file = stateFile(stateDirectory);
    return file.guarded(() => {
      const database = file.open();
      database.exec("PRAGMA foreign_keys = ON");
      const version = formatOf(database);
      if (version > formatVersion) {
        database.close();
        throw file.newer();
      }
      if (version < formatVersion)
        database.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${formatVersion}; COMMIT`);
      return new SqliteJournal(file, database, clock, self);
    });
  }

  /** For looking only: a journal on a read-only disk can still be read. Throws `E_JOURNAL`. */
  static openToRead(stateDirectory: string, clock: Clock): SqliteJournal {
    const file = stateFile(stateDirectory);
    return file.guarded(() => new SqliteJournal(file, file.openToRead(), clock, thisProcess()));
  }

  async create(id: string, request: RunRequest): Promise<Lease> {
    const lease: Lease = { run: id, token: randomUUID(), targets: [runTarget(id), ...request.targets] };
    const { host, pid } = this.self;
    this.transaction(() => {
      this.take(lease, request.name, request.actor);
      this.database.prepare("INSERT INTO run (id, created_at) VALUES (?, ?)").run(id, this.now());
      this.insert(lease, { type: "run.created", data: { ...request, process: { host, pid } } });
    });
    return lease;
  }

  async reopen(id: string, targets: readonly string[]): Promise<Lease> {
    const lease: Lease = { run: id, token: randomUUID(), targets: [runTarget(id), ...targets] };
    const first = (await this.entries(id))[0];
    const { name, actor } = first?.type === "run.created" ? first.data : { name: id, actor: "" };
    this.transaction(() => this.take(lease, name, actor));
    return lease;
  }

  async extend(lease: Lease, targets: readonly string[]): Promise<Lease> {
    const added = targets.filter((each) => !lease.targets.includes(each));
    if (added.length === 0) return lease;
    const first = (await this.entries(lease.run))[0];
    const { name, actor } = first?.type === "run.created" ? first.data : { name: lease.run, actor: "" };
    this.transaction(() => this.take({ ...lease, targets: added }, name, actor));
    return { ...lease, targets: [...lease.targets, ...added] };
  }

  async append(lease: Lease, event: RunEvent): Promise<JournalEntry> {
    return this.transaction(() => this.insert(lease, event));
  }

  async renew(lease: Lease): Promise<void> {
    const expiresAt = this.clock.now().getTime() + leaseDuration;
    const { changes } = this.file.guarded(() =>
      this.database.prepare("UPDATE lease SET expires_at = ? WHERE token = ?").run(expiresAt, lease.token),
    );
    if (changes !== lease.targets.length) throw lockLost(lease);
  }

  async release(lease: Lease): Promise<void> {
    this.file.guarded(() => this.database.prepare("DELETE FROM lease WHERE token = ?").run(lease.token));
  }

  async entries(run: string, afterSequence = 0): Promise<JournalEntry[]> {
    const query = `SELECT run, sequence, position, at, type, step, data FROM event
                   WHERE run = ? AND sequence > ? ORDER BY sequence`;
    const rows = this.file.guarded(() => this.database.prepare(query).all(run, afterSequence));
    return rows.map((row) => {
      const { step, data, ...rest } = row;
      return {
        ...rest,
        ...(step === null ? {} : { step }),
        ...(data === null ? {} : { data: JSON.parse(String(data)) }),
      } as unknown as JournalEntry;
    });
  }

  async runsSince(position: number): Promise<string[]> {
    const query = "SELECT run FROM event WHERE position > ? GROUP BY run ORDER BY min(position)";
    return this.file.guarded(() => this.database.prepare(query).all(position)).map(({ run }) => String(run));
  }

  async lastPosition(): Promise<number> {
    const row = this.file.guarded(() =>
      this.database.prepare("SELECT max(position) AS last FROM event").get(),
    );
    return Number(row?.last ?? 0);
  }

  async newest(run: string): Promise<RunEvent["type"] | undefined> {
    const query = "SELECT type FROM event WHERE run = ? ORDER BY sequence DESC LIMIT 1";
    return this.file.guarded(() => this.database.prepare(query).get(run)?.type) as
      | RunEvent["type"]
      | undefined;
  }

  async runs(limit = -1): Promise<string[]> {
    const rows = this.file.guarded(() =>
      this.database.prepare("SELECT id FROM run ORDER BY position DESC LIMIT ?").all(limit),
    );
    return rows.map((row) => String(row.id));
  }

  async holder(run: string): Promise<LeaseHolder | undefined> {
    const row = this.database
      .prepare("SELECT holder, expires_at FROM lease WHERE target = ?")
      .get(runTarget(run));
    if (row === undefined) return undefined;
    const holder = JSON.parse(String(row.holder)) as LeaseHolder;
    return this.isLive(holder, Number(row.expires_at)) ? holder : undefined;
  }

  async close(): Promise<void> {
    this.database.close();
  }

  /** All leases or none; inside a transaction. */
  private take(lease: Lease, runName: string, actor: string): void {
    const holder: LeaseHolder = { run: lease.run, runName, actor, ...this.self };
    for (const target of lease.targets) {
      const row = this.database
        .prepare("SELECT token, holder, expires_at FROM lease WHERE target = ?")
        .get(target);
      if (row !== undefined && row.token !== lease.token) {
        const other = JSON.parse(String(row.holder)) as LeaseHolder;
        if (this.isLive(other, Number(row.expires_at)))
          throw this.lockHeld(target, other, Number(row.expires_at));
      }
      this.database
        .prepare("INSERT OR REPLACE INTO lease (target, token, holder, expires_at) VALUES (?, ?, ?, ?)")
        .run(target, lease.token, JSON.stringify(holder), this.clock.now().getTime() + leaseDuration);
    }
  }

  /** Inside a transaction, so that the lease is checked and the entry written at the same moment. */
  private insert(lease: Lease, event: RunEvent): JournalEntry {
    const held = this.database
      .prepare("SELECT 1 FROM lease WHERE target = ? AND token = ?")
      .get(runTarget(lease.run), lease.token);
    if (held === undefined) throw lockLost(lease);
    const newest = this.database
      .prepare("SELECT max(sequence) AS sequence FROM event WHERE run = ?")
      .get(lease.run);
    const sequence = Number(newest?.sequence ?? 0) + 1;
    const at = this.now();
    const entry = kept(event);
    const step = "step" in entry ? entry.step : null;
    const data = "data" in entry && entry.data !== undefined ? JSON.stringify(entry.data) : null;
    const { lastInsertRowid } = this.database
      .prepare("INSERT INTO event (run, sequence, at, type, step, data) VALUES (?, ?, ?, ?, ?, ?)")
      .run(lease.run, sequence, at, entry.type, step, data);
    // As another process would read it.
    const read = data === null ? {} : { data: JSON.parse(data) };
    return {
      ...entry,
      ...read,
      run: lease.run,
      sequence,
      position: Number(lastInsertRowid),
      at,
    } as JournalEntry;
  }

  /** Durable when it returns: a failure to commit (a full disk) is thrown, not lost. */
  private transaction<T>(work: () => T): T {
    return this.file.guarded(() => inTransaction(this.database, work));
  }

  private isLive(holder: LeaseHolder, expiresAt: number): boolean {
    // A process that certainly lives keeps its lease even where it was paused, or the clock jumped.
    const live = liveness(holder);
    return live === "alive" || (live === "unknown" && expiresAt > this.clock.now().getTime());
  }

  private lockHeld(target: string, holder: LeaseHolder, expiresAt: number): OpsError {
    const seconds = formatDuration(Math.max(0, expiresAt - this.clock.now().getTime()));
    const who = `${holder.actor}, pid ${holder.pid} on ${holder.host}`;
    return new OpsError(
      "E_LOCK_HELD",
      target.startsWith("run:")
        ? `Run ${holder.run} (${holder.runName}) is under way: ${who}`
        : `${target} is held by run ${holder.run} (${holder.runName}) of ${who}`,
      {
        exitCode: ExitCode.lockHeld,
        hint: `watch it: ops runs watch ${holder.run} (if that process is gone, the lock ends in ${seconds})`,
        details: { target, holder: { ...holder } },
      },
    );
  }

  private now(): string {
    return this.clock.now().toISOString();
  }
}

function stateFile(stateDirectory: string): StateFile {
  return new StateFile(SqliteJournal.file(stateDirectory), "E_JOURNAL", "journal");
}

function lockLost(lease: Lease): OpsError {
  return new OpsError("E_LOCK_LOST", `This process no longer holds the lock of run ${lease.run}`, {
    hint: `see who has it: ops runs show ${lease.run}`,
    retryable: false,
  });
}
