import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { connect, databaseError } from "../postgres/connection.ts";

/** A table whose rows are dumped by a process of their own. */
export interface LargeTable {
  readonly schema: string;
  readonly name: string;
  /** On the server's disk, with TOAST, without indexes. */
  readonly bytes: number;
}

/** Largest first. What an extension owns is not among them: pg_dump decides about its rows. */
export async function findLargeTables(client: pg.Client, fromBytes: number): Promise<LargeTable[]> {
  const { rows } = await client.query<{ schema: string; name: string; bytes: string }>(
    `SELECT nspname AS schema, relname AS name, bytes
       FROM (SELECT nspname, relname, c.oid, pg_table_size(c.oid) AS bytes
               FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
              WHERE relkind = 'r' AND relpersistence <> 't'
                AND nspname !~ '^pg_' AND nspname <> 'information_schema'
                AND NOT EXISTS (SELECT FROM pg_depend d
                                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) t
      WHERE bytes >= $1
      ORDER BY bytes DESC, nspname, relname`,
    [fromBytes],
  );
  return rows.map((each) => ({ ...each, bytes: Number(each.bytes) }));
}

/** Rows in all tables, as the statistics say; undefined where they do not know. */
export async function estimateRows(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ rows: string | null }>(
    `SELECT sum(greatest(reltuples, 0))::bigint AS rows
       FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'`,
  );
  const found = Number(rows[0]?.rows ?? 0);
  return found > 0 ? found : undefined;
}

/** One name, exactly, as pg_dump's options take patterns. */
export function exactPattern(table: { readonly schema: string; readonly name: string }): string {
  return `${pg.escapeIdentifier(table.schema)}.${pg.escapeIdentifier(table.name)}`;
}

/**
 * A transaction whose snapshot several pg_dump processes read from: all of them see the same moment. The tables are
 * locked before it begins, so that none is dropped or rewritten before its turn.
 */
export class SharedSnapshot {
  readonly id: string;
  private readonly client: pg.Client;

  private constructor(client: pg.Client, id: string) {
    this.client = client;
    this.id = id;
  }

  /** @param lockTimeout milliseconds to wait for a table that something else has locked */
  static async open(
    target: DatabaseTarget,
    tables: readonly LargeTable[],
    lockTimeout: number,
    signal: AbortSignal,
  ): Promise<SharedSnapshot> {
    const client = await connect(target, { signal });
    try {
      await client.query("SET idle_in_transaction_session_timeout = 0");
      await client.query(`SET lock_timeout = ${Math.round(lockTimeout)}`);
      await client.query("SET statement_timeout = 0");
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      if (tables.length > 0) {
        await client.query(
          `LOCK TABLE ONLY ${tables.map(exactPattern).join(", ONLY ")} IN ACCESS SHARE MODE`,
        );
      }
      const { rows } = await client.query<{ id: string }>("SELECT pg_export_snapshot() AS id");
      return new SharedSnapshot(client, rows[0]?.id ?? "");
    } catch (error) {
      await client.end().catch(() => undefined);
      throw signal.aborted ? signal.reason : databaseError(target, error);
    }
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }
}
