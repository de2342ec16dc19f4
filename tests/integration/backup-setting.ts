import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import pg from "pg";
import { operations } from "../../src/backup/operations.ts";
import type { Cluster } from "../../src/postgres/cluster.ts";
import type { Operation } from "../../src/run/operation.ts";
import { startTestCluster } from "../support/postgres.ts";

export function operation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

/** A server, a folder for stores and a key pair, shared by the tests of one file. */
export class BackupSetting {
  readonly cluster: Cluster;
  readonly folder: string;
  readonly identity: string;
  readonly recipient: string;
  private count = 0;

  private constructor(cluster: Cluster, folder: string, identity: string, recipient: string) {
    this.cluster = cluster;
    this.folder = folder;
    this.identity = identity;
    this.recipient = recipient;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<BackupSetting> {
    const cluster = await startTestCluster(settings);
    const folder = await mkdtemp(join(tmpdir(), "ops-bk-"));
    const identity = await generateX25519Identity();
    return new BackupSetting(cluster, folder, identity, await identityToRecipient(identity));
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A database with what `sql` makes, a store of its own, and the settings that name both. */
  async prepare(sql: string, database = `db${this.count}`) {
    this.count += 1;
    await this.query("postgres", `CREATE DATABASE ${pg.escapeIdentifier(database)}`);
    await this.query(database, sql);
    const directory = join(this.folder, `store${this.count}`);
    const store = { url: `file:${directory}`, recipients: [this.recipient], identity: this.identity };
    const url = this.cluster.url(database);
    return {
      database,
      directory,
      store,
      settings: { databases: { main: { url } }, stores: { local: store } },
    };
  }

  async query<T extends pg.QueryResultRow>(database: string, sql: string): Promise<T[]> {
    const client = new pg.Client({ host: "127.0.0.1", port: this.cluster.port, user: "postgres", database });
    await client.connect();
    try {
      const result = await client.query<T>(sql);
      return result.rows;
    } finally {
      await client.end();
    }
  }

  async databases(): Promise<string[]> {
    const rows = await this.query<{ datname: string }>(
      "postgres",
      "SELECT datname FROM pg_database ORDER BY 1",
    );
    return rows.map((row) => row.datname);
  }

  /** One table with its rows, as `dump` does it. */
  dumpOf(database: string, table: string): string {
    return this.dump(database, [`--table=${table}`]);
  }

  /** The whole content as SQL, without the random token of newer pg_dump versions. */
  dump(database: string, options: readonly string[] = []): string {
    const args = ["-h", "127.0.0.1", "-p", String(this.cluster.port), "-U", "postgres", ...options];
    const sql = execFileSync("pg_dump", args, {
      encoding: "utf8",
      maxBuffer: 100_000_000,
      env: { ...process.env, PGDATABASE: database },
    });
    return sql.replaceAll(/^\\(un)?restrict .*$/gm, "");
  }
}

/** All files below the folder, with their contents. */
export async function filesIn(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(file)] as [string, Buffer])),
  );
}

export const sampleSchema = `
  CREATE TYPE mood AS ENUM ('fine', 'so "so"');
  CREATE TABLE "Küche; DROP" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "naïve ""name""" text, m mood);
  INSERT INTO "Küche; DROP" ("naïve ""name""", m)
    SELECT repeat(md5(i::text), 5), 'fine' FROM generate_series(1, 5000) i;
  CREATE TABLE measurement (at timestamptz, value numeric) PARTITION BY RANGE (at);
  CREATE TABLE measurement_2026 PARTITION OF measurement FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  INSERT INTO measurement SELECT timestamptz '2026-01-01' + i * interval '1 hour', i / 7.0 FROM generate_series(1, 2000) i;
  CREATE INDEX ON measurement (value);
  CREATE VIEW recent AS SELECT * FROM measurement WHERE at > '2026-02-01';
  CREATE MATERIALIZED VIEW total AS SELECT sum(value) AS total FROM measurement;
  SELECT lo_from_bytea(4242, 'a large object');
`;
