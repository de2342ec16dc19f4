import pg from "pg";
import { type Lsn, parseLsn } from "../../../../src/wal-archive/lsn.ts";
import type { Random } from "./random.ts";

/** What a writer knows of a transaction with one numbered row, without asking the server what became of it. */
export interface WrittenRow {
  readonly n: number;
  /** 64 bits. */
  readonly xid: string;
  /** Milliseconds since 1970: a moment before the commit was asked for, and one behind its acknowledgement. */
  readonly sentAt: number;
  ackAt: number | undefined;
  /** Where the log ended before the commit, and behind its acknowledgement. */
  readonly before: Lsn;
  after: Lsn | undefined;
}

/** Where the writers write to; `undefined` while there is no server. */
export interface Place {
  url: string | undefined;
}

export const schema = `
  CREATE TABLE ledger (n int PRIMARY KEY, writer int NOT NULL, digest text NOT NULL);
  CREATE TABLE totals (writer int PRIMARY KEY, rows int NOT NULL, sum bigint NOT NULL);
`;

/** The digest of a row, as SQL: what is restored must also have the right content. */
export const digestOf = (n: string) => `md5('row ' || (${n}))`;

/**
 * Commits numbered rows, one transaction for each, some rolled back, prepared first, or held open for a while; and
 * keeps a log of what was asked for and what was acknowledged. Survives its server.
 */
export class Writer {
  readonly log = new Map<number, WrittenRow>();
  /** Of the transactions that were rolled back, from when to when, as of those that were committed. */
  readonly rolledBack: { readonly sentAt: number; readonly ackAt: number }[] = [];
  private readonly id: number;
  private readonly place: Place;
  private readonly random: Random;
  private readonly nextNumber: () => number;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();
  private idle = true;

  constructor(id: number, place: Place, random: Random, nextNumber: () => number) {
    this.id = id;
    this.place = place;
    this.random = random;
    this.nextNumber = nextNumber;
  }

  start(): void {
    this.stopped = false;
    this.running = this.run();
  }

  /** Ends behind the transaction that is under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Resolves when it has nothing under way and knows that there is no server. */
  async untilIdle(): Promise<void> {
    while (!this.idle) await pause(5);
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const { url } = this.place;
      if (url === undefined) {
        this.idle = true;
        await pause(20);
        continue;
      }
      this.idle = false;
      const client = new pg.Client(url);
      // A server that is killed; what was under way is in the log without an acknowledgement.
      client.on("error", () => undefined);
      try {
        await client.connect();
        while (!this.stopped && this.place.url === url) await this.write(client);
      } catch {
        await pause(20);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
    this.idle = true;
  }

  private async write(client: pg.Client): Promise<void> {
    const n = this.nextNumber();
    const fate = this.random.next();
    const isPrepared = fate > 0.95;
    await client.query("BEGIN");
    const { rows } = await client.query<{ xid: string }>(
      `INSERT INTO ledger VALUES (${n}, ${this.id}, ${digestOf(String(n))}) RETURNING pg_current_xact_id()::text AS xid`,
    );
    await client.query(`
      INSERT INTO totals VALUES (${this.id}, 1, ${n})
      ON CONFLICT (writer) DO UPDATE SET rows = totals.rows + 1, sum = totals.sum + ${n}`);
    if (fate < 0.1) {
      const sentAt = Date.now();
      await client.query("ROLLBACK");
      this.rolledBack.push({ sentAt, ackAt: Date.now() + 1 });
      return;
    }
    // Some are open while a base backup begins or ends.
    if (fate < 0.13) await pause(1000 + this.random.below(2000));
    if (isPrepared) await client.query(`PREPARE TRANSACTION 'row ${n}'`);
    const row: WrittenRow = {
      n,
      xid: rows[0]?.xid ?? "",
      before: await positionOf(client),
      sentAt: Date.now(),
      ackAt: undefined,
      after: undefined,
    };
    this.log.set(n, row);
    await client.query(isPrepared ? `COMMIT PREPARED 'row ${n}'` : "COMMIT");
    // The clock is read in whole milliseconds, rounded down.
    row.ackAt = Date.now() + 1;
    row.after = await positionOf(client);
    if (this.random.next() < 0.02)
      await client.query(
        "SELECT pg_logical_emit_message(false, 'noise', repeat(md5(random()::text), 30000))",
      );
    await pause(this.random.below(40));
  }
}

async function positionOf(client: pg.Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
  return parseLsn(rows[0]?.lsn ?? "");
}

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
