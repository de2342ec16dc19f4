import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { inTransaction } from "../run/sqlite-database.ts";
import { formatOf, StateFile } from "../run/state-file.ts";

const formatVersion = 1;

const tables = `
CREATE TABLE IF NOT EXISTS answer (
  id INTEGER PRIMARY KEY, environment TEXT NOT NULL, gate TEXT NOT NULL, check_id TEXT NOT NULL,
  digest TEXT NOT NULL, question TEXT NOT NULL, role TEXT NOT NULL,
  answer TEXT NOT NULL CHECK (answer IN ('yes', 'no')), by TEXT NOT NULL, note TEXT NOT NULL,
  actor TEXT NOT NULL, host TEXT NOT NULL, answered_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  run TEXT NOT NULL, withdrawn_at INTEGER,
  UNIQUE (environment, gate, check_id, run)
) STRICT;
`;

/** What a person said to the question of a check. Times in milliseconds since 1970. */
export type Answer = {
  readonly gate: string;
  readonly check: string;
  /** Of the question as it was then (`questionDigest`). */
  readonly digest: string;
  readonly question: string;
  readonly role: string;
  readonly answer: "yes" | "no";
  /** The name that the person gave. */
  readonly by: string;
  readonly note: string;
  /** As whom the command ran: `user@host`, or what CI says. */
  readonly actor: string;
  readonly host: string;
  readonly answeredAt: number;
  readonly expiresAt: number;
  /** The run that wrote it down. */
  readonly run: string;
  /** Taken back by rolling back its run; null where it was not. */
  readonly withdrawnAt: number | null;
};

/**
 * The durable place of answers: an SQLite file beside the journal, in WAL mode with `synchronous=FULL`. What has returned
 * is on disk, all of it; nothing is ever removed. Of several answers to one check the newest counts.
 */
export class AnswerBook {
  private readonly database: DatabaseSync;
  private readonly environment: string;

  private constructor(database: DatabaseSync, environment: string) {
    this.database = database;
    this.environment = environment;
  }

  /** Does the work with the book; makes the folder (mode 0700) and the file. Throws `E_GATE_ANSWERS`. */
  static write<T>(stateDirectory: string, environment: string, work: (book: AnswerBook) => T): T {
    const file = fileIn(stateDirectory);
    return file.guarded(() => {
      const database = file.open();
      try {
        if (formatOf(database) > formatVersion) throw file.newer();
        inTransaction(database, () => database.exec(`${tables}PRAGMA user_version = ${formatVersion}`));
        return work(new AnswerBook(database, environment));
      } finally {
        database.close();
      }
    });
  }

  /** Every answer of an environment, the newest first, of one check or of all; none where nobody ever answered. */
  static read(
    stateDirectory: string,
    environment: string,
    of: { readonly gate?: string | undefined; readonly check?: string | undefined },
  ): Answer[] {
    const file = fileIn(stateDirectory);
    if (!existsSync(file.path)) return [];
    return file.guarded(() => {
      const database = file.openToRead();
      try {
        if (formatOf(database) > formatVersion) throw file.newer();
        return new AnswerBook(database, environment).answers(of);
      } finally {
        database.close();
      }
    });
  }

  /** Durable when it returns. A second time by the same run changes nothing. */
  add(answer: Omit<Answer, "withdrawnAt">): void {
    const { gate, check, digest, question, role, by, note, actor, host, run } = answer;
    const statement = this.database.prepare(
      `INSERT INTO answer (environment, gate, check_id, digest, question, role, answer, by, note, actor, host,
         answered_at, expires_at, run)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    const times = [answer.answeredAt, answer.expiresAt] as const;
    statement.run(
      this.environment,
      gate,
      check,
      digest,
      question,
      role,
      answer.answer,
      by,
      note,
      actor,
      host,
      ...times,
      run,
    );
  }

  /** Takes back what a run answered; what counted before it counts again. */
  withdraw(gate: string, check: string, run: string, now: number): void {
    this.database
      .prepare(
        `UPDATE answer SET withdrawn_at = ? WHERE environment = ? AND gate = ? AND check_id = ? AND run = ?
           AND withdrawn_at IS NULL`,
      )
      .run(now, this.environment, gate, check, run);
  }

  answers({
    gate,
    check,
  }: {
    readonly gate?: string | undefined;
    readonly check?: string | undefined;
  }): Answer[] {
    return this.database
      .prepare(
        `SELECT * FROM answer WHERE environment = ? AND gate = coalesce(?, gate) AND check_id = coalesce(?, check_id)
         ORDER BY id DESC`,
      )
      .all(this.environment, gate ?? null, check ?? null)
      .map(answerOf);
  }
}

function answerOf(row: Record<string, SQLOutputValue>): Answer {
  return {
    gate: String(row.gate),
    check: String(row.check_id),
    digest: String(row.digest),
    question: String(row.question),
    role: String(row.role),
    answer: row.answer === "yes" ? "yes" : "no",
    by: String(row.by),
    note: String(row.note),
    actor: String(row.actor),
    host: String(row.host),
    answeredAt: Number(row.answered_at),
    expiresAt: Number(row.expires_at),
    run: String(row.run),
    withdrawnAt: row.withdrawn_at === null ? null : Number(row.withdrawn_at),
  };
}

function fileIn(stateDirectory: string): StateFile {
  return new StateFile(join(stateDirectory, "gate-answers.db"), "E_GATE_ANSWERS", "record of answers");
}
