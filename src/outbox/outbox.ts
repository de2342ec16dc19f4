import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from "node:sqlite";
import type { Json } from "../core/errors.ts";
import type { Rest } from "../notifier/sent.ts";
import { liveness, type ProcessIdentity, thisProcess } from "../process/live-process.ts";
import { inTransaction } from "../run/sqlite-database.ts";
import { StateFile } from "../run/state-file.ts";
import { isPrepared, prepareOutbox } from "./tables.ts";

/** Clocks are set right by seconds; what is further ahead was written while this machine's clock was wrong. */
export const clockTolerance = 5 * 60_000;
/** Nothing is postponed for longer than an hour; what says so was written while this machine's clock was ahead. */
const longestPause = 2 * 3_600_000;
/** How long what was delivered is remembered, so that it is not sent again, and what was given up. Milliseconds. */
const remembered = 30 * 86_400_000;

/** `ping`: a dead man's switch. */
export type Channel = "ping" | "notification";
export type NoticeState = "waiting" | "delivered" | "given-up";

/** What is to be told to somebody. */
export interface NewNotice {
  readonly channel: Channel;
  /** `success` or `failure` for a ping, else the notification's name. */
  readonly target: string;
  /** The schedule or the run that it is about. */
  readonly source: string;
  /** Unique within an environment: the same one is taken once. */
  readonly key: string;
  /** Notices of one subject reach a target in their order; null where their order does not matter. */
  readonly subject: string | null;
  readonly body: Json;
}

/** A notice in the outbox. Times in milliseconds since 1970. */
export interface Notice extends NewNotice {
  readonly id: number;
  readonly state: NoticeState;
  readonly createdAt: number;
  readonly attempts: number;
  /** Not tried before. */
  readonly notBefore: number;
  /** Why the last attempt failed, or what a receiver remarked. */
  readonly problem: string | null;
  /** When it was delivered or given up. */
  readonly endedAt: number | null;
  /** Those who are still to be told, where others have been. */
  readonly rest: Rest | null;
}

/**
 * What is still to be told, in an SQLite file beside the journal (WAL mode, `synchronous=FULL`): what has returned is on
 * disk. Each notice is sent at least once; a process that is killed between the sending and the note of it leaves it to
 * be sent again. It shares the file of schedules, so that how a scheduled run ended and who hears of it are written both
 * or neither.
 */
export class Outbox {
  readonly database: DatabaseSync;
  readonly environment: string;
  private readonly file: StateFile;

  constructor(database: DatabaseSync, path: string, environment: string) {
    this.database = database;
    this.file = stateFile(path);
    this.environment = environment;
  }

  static file(stateDirectory: string): string {
    return join(stateDirectory, "schedules.db");
  }

  static exists(stateDirectory: string): boolean {
    return existsSync(Outbox.file(stateDirectory));
  }

  /** Makes the folder (mode 0700) and the file where they are missing. Throws `E_OUTBOX`. */
  static open(stateDirectory: string, environment: string): Outbox {
    const file = stateFile(Outbox.file(stateDirectory));
    return file.guarded(() => {
      const database = file.open();
      if (!isPrepared(database)) inTransaction(database, () => prepareOutbox(database));
      return new Outbox(database, file.path, environment);
    });
  }

  /** For looking only; undefined where nothing was ever owed here. */
  static openToRead(stateDirectory: string, environment: string): Outbox | undefined {
    if (!Outbox.exists(stateDirectory)) return undefined;
    const file = stateFile(Outbox.file(stateDirectory));
    return file.guarded(() => {
      const database = file.openToRead();
      if (isPrepared(database)) return new Outbox(database, file.path, environment);
      database.close();
      return Outbox.open(stateDirectory, environment);
    });
  }

  close(): void {
    this.database.close();
  }

  /** Takes what it does not have yet; returns how many those were. */
  add(notices: readonly NewNotice[], now: number): number {
    if (notices.length === 0) return 0;
    return this.transaction(() => this.insert(notices, now));
  }

  /** As `add`, inside a transaction of the same file. */
  insert(notices: readonly NewNotice[], now: number): number {
    if (notices.length > 0) this.forget(now);
    const statement = this.database.prepare(
      `INSERT OR IGNORE INTO notice (environment, source, channel, target, key, subject, body, created_at, not_before)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    return notices.reduce((added, each) => {
      const { source, channel, target, key, subject, body } = each;
      // A dead man's switch wants to know how it is, not how it was.
      if (channel === "ping") this.dropPings(source);
      const values = [
        this.environment,
        source,
        channel,
        target,
        key,
        subject,
        JSON.stringify(body),
        now,
        now,
      ];
      return added + Number(statement.run(...values).changes);
    }, 0);
  }

  knows(key: string): boolean {
    const query = "SELECT 1 FROM notice WHERE environment = ? AND key = ?";
    return this.row(query, this.environment, key) !== undefined;
  }

  /** In the order in which they were written. */
  notices(state?: NoticeState): Notice[] {
    return this.file
      .guarded(() =>
        this.database
          .prepare("SELECT * FROM notice WHERE environment = ?1 AND (?2 IS NULL OR state = ?2) ORDER BY id")
          .all(this.environment, state ?? null),
      )
      .map(noticeOf);
  }

  /**
   * Makes a notice this process's own until `until`; undefined where another one has it, or it is not its time yet. A
   * claim ends with the process that made it. A notice waits for the ones of its subject before it.
   */
  claim(
    id: number,
    now: number,
    until: number,
    early: "in-time" | "at-once" = "in-time",
  ): Notice | undefined {
    return this.transaction(() => {
      const row = this.database.prepare("SELECT * FROM notice WHERE id = ? AND state = 'waiting'").get(id);
      if (row === undefined) return undefined;
      const notice = noticeOf(row);
      const claimant =
        row.claimed_by === null ? undefined : (JSON.parse(String(row.claimed_by)) as ProcessIdentity);
      const { notBefore, createdAt } = notice;
      // Written while the clock was wrong.
      const isAstray = notBefore > now + longestPause || createdAt > now + clockTolerance;
      const isDue = notBefore <= now || isAstray || early === "at-once";
      const mayTry = claimant === undefined ? isDue : notBefore <= now || liveness(claimant) === "gone";
      if (!mayTry || this.isBehindAnother(notice)) return undefined;
      this.database
        .prepare("UPDATE notice SET not_before = ?, claimed_by = ? WHERE id = ?")
        .run(until, JSON.stringify(thisProcess()), id);
      return notice;
    });
  }

  /** @param remark what the receiver said although it took it */
  delivered(id: number, now: number, remark: string | null = null): void {
    this.end(id, "delivered", now, remark);
  }

  giveUp(id: number, now: number, problem: string): void {
    this.end(id, "given-up", now, problem);
  }

  /** @param rest of several recipients, who is still to be told; undefined: as before */
  postpone(id: number, until: number, problem: string, rest?: Rest): void {
    this.transaction(() =>
      this.database
        .prepare(
          `UPDATE notice SET attempts = attempts + 1, not_before = ?, claimed_by = NULL, problem = ?,
             rest = coalesce(?, rest) WHERE id = ?`,
        )
        .run(until, problem, rest === undefined ? null : JSON.stringify(rest), id),
    );
  }

  /** What was given up is owed again, as if it had happened now. */
  tryAgain(id: number, now: number): void {
    this.transaction(() =>
      this.database
        .prepare(
          `UPDATE notice SET state = 'waiting', created_at = ?1, not_before = ?1, ended_at = NULL
           WHERE id = ?2 AND state = 'given-up'`,
        )
        .run(now, id),
    );
  }

  /** The first row of a query. */
  row(query: string, ...values: SQLInputValue[]): Record<string, SQLOutputValue> | undefined {
    return this.file.guarded(() => this.database.prepare(query).get(...values));
  }

  /** Durable when it returns, all of it or nothing. */
  transaction<T>(work: () => T): T {
    return this.file.guarded(() => inTransaction(this.database, work));
  }

  private end(id: number, state: NoticeState, now: number, problem: string | null): void {
    this.transaction(() =>
      this.database
        .prepare(
          `UPDATE notice SET state = ?, attempts = attempts + 1, ended_at = ?, claimed_by = NULL, problem = ?
           WHERE id = ? AND state = 'waiting'`,
        )
        .run(state, now, problem, id),
    );
  }

  private isBehindAnother({ id, subject, target, channel }: Notice): boolean {
    if (subject === null) return false;
    const query = `SELECT 1 FROM notice WHERE environment = ? AND channel = ? AND target = ? AND subject = ?
                   AND state = 'waiting' AND id < ? LIMIT 1`;
    return this.database.prepare(query).get(this.environment, channel, target, subject, id) !== undefined;
  }

  private dropPings(source: string): void {
    this.database
      .prepare("DELETE FROM notice WHERE environment = ? AND source = ? AND channel = 'ping'")
      .run(this.environment, source);
  }

  private forget(now: number): void {
    this.database
      .prepare("DELETE FROM notice WHERE environment = ? AND state <> 'waiting' AND ended_at < ?")
      .run(this.environment, now - remembered);
  }
}

function noticeOf(row: Record<string, SQLOutputValue>): Notice {
  const text = (value: SQLOutputValue | undefined) =>
    value === null || value === undefined ? null : String(value);
  return {
    id: Number(row.id),
    source: String(row.source),
    channel: String(row.channel) as Channel,
    target: String(row.target),
    key: String(row.key),
    subject: text(row.subject),
    body: JSON.parse(String(row.body)) as Json,
    state: String(row.state) as NoticeState,
    createdAt: Number(row.created_at),
    attempts: Number(row.attempts),
    notBefore: Number(row.not_before),
    problem: text(row.problem),
    endedAt: row.ended_at === null ? null : Number(row.ended_at),
    rest: row.rest === null ? null : (JSON.parse(String(row.rest)) as Rest),
  };
}

function stateFile(path: string): StateFile {
  return new StateFile(path, "E_OUTBOX", "outbox of notices");
}
