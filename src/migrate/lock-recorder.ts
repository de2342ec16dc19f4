import pg from "pg";
import { refusesTransaction } from "./autocommit.ts";
import { findKeyColumn, isProblem } from "./batch/key-column.ts";
import { batchProblems } from "./batch/statement.ts";
import type { SqlFile } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import type { FileRun, Rewrite, StatementRun, TakenLock } from "./report.ts";
import { makeRunnable } from "./runnable.ts";
import { isConnectionLoss, sqlFailure } from "./sql-failure.ts";
import type { SqlMessage } from "./sql-message.ts";
import { type Statement, splitStatements } from "./statements.ts";
import { lockHolds, type StatementLocks } from "./test/lock-holds.ts";
import { compareModes, type LockMode, lockModeOf, strongest } from "./test/lock-mode.ts";
import { LockSampler } from "./test/lock-sampler.ts";
import { type Relation, readRelations, type TableSize } from "./test/relations.ts";
import { lineOf, oneLine } from "./test/statement-place.ts";
import { wholeBatch } from "./test/whole-batch.ts";

/** Where files are run to be measured: a server that does nothing else. */
export interface MeasuredDatabase {
  readonly client: pg.Client;
  /** A second connection, which looks on while a statement runs that can be in no transaction. */
  readonly observer: pg.Client;
  /** Of the tables before the first file. */
  readonly sizes: ReadonlyMap<string, TableSize>;
  /** Of the real ones, where they are known. */
  readonly realSizes: ReadonlyMap<string, TableSize>;
}

export interface RecordedFile {
  readonly run: FileRun;
  /** Oids of the tables whose rows may have changed; undefined where that is not certain. */
  readonly written: ReadonlySet<string> | undefined;
}

/**
 * Runs a file statement by statement, as `up` would (in one transaction, or each on its own), and records what each
 * did. Throws what `up` would throw; an open transaction is rolled back then.
 *
 * @param prove looks at what was made where `up` runs a verify file: in the transaction of the file, or after it
 */
export async function recordFile(
  database: MeasuredDatabase,
  file: SqlFile,
  prove: (where: "inside" | "outside") => Promise<void> = async () => undefined,
): Promise<RecordedFile> {
  const { client } = database;
  const { transaction, statements, sql } = await measurable(client, file);
  const before = await readRelations(client);
  const recorder = new FileRecorder(database, before, transaction);
  await client.query("RESET ALL");
  const begin = performance.now();
  // Of a backfill it is the limit of one batch.
  const { batch, statementTimeout = 0 } = file.settings;
  const limit = batch === undefined ? Math.ceil(statementTimeout) : 0;
  if (limit > 0) await client.query("SELECT set_config('statement_timeout', $1, false)", [`${limit}ms`]);
  if (transaction) await client.query("BEGIN");
  for (const statement of statements) {
    try {
      await recorder.run(statement, lineOf(sql, statement));
    } catch (error) {
      if (isConnectionLoss(error) || !(error instanceof pg.DatabaseError)) throw error;
      await client.query("ROLLBACK");
      throw await sqlFailure(inFile(file, statement), error, 0);
    }
  }
  const committing = performance.now();
  const inside = transaction && batch === undefined;
  if (inside) await prove("inside");
  if (transaction) await client.query("COMMIT");
  const commitMs = performance.now() - committing;
  if (!inside) await prove("outside");
  await client.query("RESET SESSION AUTHORIZATION");
  await client.query("RESET ROLE");
  await client.query("RESET ALL");
  return {
    run: {
      file: file.name,
      transaction,
      durationMs: rounded(performance.now() - begin - recorder.overheadMs),
      walBytes: recorder.statements.reduce((sum, each) => sum + each.walBytes, 0),
      statements: recorder.statements,
      holds: lockHolds(recorder.locks, before, { transaction, commitMs }).map((hold) => ({
        ...hold,
        heldMs: rounded(hold.heldMs),
        bytes: database.sizes.get(hold.relation)?.bytes ?? null,
        realBytes: database.realSizes.get(hold.relation)?.bytes ?? null,
      })),
    },
    written: recorder.allLocksSeen ? recorder.written : undefined,
  };
}

/** The file's statements, cut as `up` cuts them. Throws `E_MIGRATIONS` for what `up` would refuse. */
async function measurable(client: pg.Client, file: SqlFile) {
  const { batch } = file.settings;
  if (batch !== undefined) {
    refuseProblems(file.name, await batchProblems(file));
    const key = await findKeyColumn(client, { file, settings: batch });
    if (isProblem(key)) refuseProblems(file.name, [key]);
  }
  const whole = await wholeBatch(file);
  const runnable = await makeRunnable(whole);
  refuseProblems(file.name, runnable.problems);
  if (runnable.mode === "statements") {
    return { transaction: false, statements: runnable.statements, sql: whole.sql };
  }
  const statements = await splitStatements(runnable.sql, { file: file.name });
  return { transaction: true, statements, sql: runnable.sql };
}

class FileRecorder {
  readonly statements: StatementRun[] = [];
  readonly locks: StatementLocks[] = [];
  readonly written = new Set<string>();
  /** False once a statement ran outside a transaction: its locks were only sampled. */
  allLocksSeen = true;
  /** What the measuring itself took. */
  overheadMs = 0;
  private readonly database: MeasuredDatabase;
  private readonly before: ReadonlyMap<string, Relation>;
  private readonly transaction: boolean;
  private relations: ReadonlyMap<string, Relation>;
  private readonly held = new Map<string, LockMode>();

  constructor(database: MeasuredDatabase, before: ReadonlyMap<string, Relation>, transaction: boolean) {
    this.database = database;
    this.before = before;
    this.relations = before;
    this.transaction = transaction;
  }

  async run(statement: Statement, line: number): Promise<void> {
    const { client, observer } = this.database;
    const entered = performance.now();
    const position = await walPosition(client);
    // Even in a file without a transaction most statements may have one of their own, which shows all their locks.
    const inTransaction = this.transaction || !needsNoTransaction(statement);
    if (inTransaction && !this.transaction) await client.query("BEGIN");
    const sampler = inTransaction ? undefined : await LockSampler.start(client, observer);
    const begin = performance.now();
    let durationMs: number;
    let sampled: ReadonlyMap<string, LockMode> | undefined;
    try {
      await client.query(statement.text);
    } finally {
      durationMs = performance.now() - begin;
      sampled = await sampler?.stop();
    }
    const walBytes = (await walPosition(client)) - position;
    const present = sampled ?? (await heldLocks(client));
    const relations = await readRelations(client);
    const taken = this.newlyTaken(present);
    this.locks.push({ durationMs, taken });
    for (const [oid, mode] of present) if (compareModes(mode, "ROW EXCLUSIVE") >= 0) this.written.add(oid);
    this.statements.push({
      line,
      sql: oneLine(statement.text),
      durationMs: rounded(durationMs),
      walBytes,
      locks: this.named(taken, relations),
      rewrites: await this.rewrites(relations, statement.kind),
      locksSeen: inTransaction ? "all" : "sampled",
    });
    if (inTransaction && !this.transaction) await client.query("COMMIT");
    this.allLocksSeen &&= inTransaction;
    this.relations = relations;
    this.overheadMs += performance.now() - entered - durationMs;
  }

  private newlyTaken(present: ReadonlyMap<string, LockMode>): Map<string, LockMode> {
    if (!this.transaction) return new Map(present);
    const taken = new Map<string, LockMode>();
    for (const [oid, mode] of present) {
      const already = this.held.get(oid);
      if (already !== undefined && compareModes(mode, already) <= 0) continue;
      this.held.set(oid, mode);
      taken.set(oid, mode);
    }
    return taken;
  }

  /** Locks on what the file itself made are left out: nobody else can see it yet. */
  private named(taken: ReadonlyMap<string, LockMode>, after: ReadonlyMap<string, Relation>): TakenLock[] {
    return [...taken].flatMap(([oid, mode]) => {
      const relation = this.before.get(oid) ?? (this.transaction ? undefined : after.get(oid));
      return relation === undefined ? [] : [{ relation: relation.name, kind: relation.kind, mode }];
    });
  }

  private async rewrites(after: ReadonlyMap<string, Relation>, kind: string): Promise<Rewrite[]> {
    // TRUNCATE gives a table a new, empty file: nothing is rewritten.
    if (kind === "TruncateStmt") return [];
    const rewritten = [...after.values()].filter((each) => {
      const earlier = this.relations.get(each.oid) ?? this.namesake(each);
      return earlier !== undefined && this.before.has(earlier.oid) && earlier.fileNode !== each.fileNode;
    });
    const found: Rewrite[] = [];
    for (const { oid, name, kind } of rewritten) {
      const { rows } = await this.database.client.query<{ bytes: string }>(
        "SELECT pg_catalog.pg_relation_size($1::oid)::text AS bytes",
        [oid],
      );
      found.push({ relation: name, kind, bytes: Number(rows[0]?.bytes ?? 0) });
    }
    return found;
  }

  /** A change of a column's type makes the indexes on it anew, under their old names. */
  private namesake({ kind, name }: Relation): Relation | undefined {
    if (kind !== "index") return undefined;
    return [...this.relations.values()].find((each) => each.kind === "index" && each.name === name);
  }
}

/** A procedure or DO block may commit inside, which an outer transaction forbids. */
function needsNoTransaction(statement: Statement): boolean {
  return refusesTransaction(statement) || ["CallStmt", "DoStmt", "TransactionStmt"].includes(statement.kind);
}

/** Bytes from the beginning of the WAL. */
async function walPosition(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ position: string }>(
    "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::text AS position",
  );
  return Number(rows[0]?.position);
}

/** The strongest mode for each relation that this transaction holds a lock on. */
async function heldLocks(client: pg.Client): Promise<Map<string, LockMode>> {
  const { rows } = await client.query<{ oid: string; modes: string[] }>(`
    SELECT relation::text AS oid, array_agg(mode) AS modes
      FROM pg_catalog.pg_locks
     WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND granted
       AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     GROUP BY relation`);
  return new Map(
    rows.flatMap(({ oid, modes }) => {
      const mode = strongest(modes.flatMap((each) => lockModeOf(each) ?? []));
      return mode === undefined ? [] : [[oid, mode] as const];
    }),
  );
}

/** Where errors of a statement that is sent alone stand in its file. */
function inFile(file: SqlFile, { text, start }: Statement): SqlMessage {
  return { file, prefix: "", prefixStatements: 0, sql: text, start };
}

/** Milliseconds to the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
