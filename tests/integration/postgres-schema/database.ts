import { readFile } from "node:fs/promises";
import pg from "pg";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { findProgram } from "../../../src/postgres/programs.ts";
import { readSchema } from "../../../src/postgres-schema/read-schema.ts";
import type { DatabaseSchema } from "../../../src/postgres-schema/schema-object.ts";
import { runProgram } from "../../../src/process/run-program.ts";

const fixture = new URL("../../fixtures/schema/rich.sql", import.meta.url);

/** A database `rich` with an object of nearly every kind, and the roles that it names. */
export async function createRichDatabase(cluster: Cluster): Promise<void> {
  await run(cluster, "postgres", "CREATE ROLE schema_reader; CREATE ROLE schema_owner;");
  await run(cluster, "postgres", "CREATE DATABASE rich");
  await run(cluster, "rich", await readFile(fixture, "utf8"));
}

/** A copy of the database in which `sql` has been run. */
export async function copyDatabase(cluster: Cluster, from: string, to: string, sql = ""): Promise<void> {
  await run(cluster, "postgres", `CREATE DATABASE ${to} TEMPLATE ${from}`);
  if (sql !== "") await run(cluster, to, sql);
}

export async function run(cluster: Cluster, database: string, sql: string): Promise<void> {
  await using client = await connected(cluster, database);
  await client.query(sql);
}

export async function schemaOf(cluster: Cluster, database: string): Promise<DatabaseSchema> {
  await using client = await connected(cluster, database);
  return await readSchema(client);
}

/** What PostgreSQL's own pg_dump says of a database's schema. */
export async function dump(cluster: Cluster, database: string): Promise<string> {
  const program = await findProgram("pg_dump", 15);
  const { exitCode, stdout, stderr } = await runProgram(program.path, [
    "--schema-only",
    cluster.url(database),
  ]);
  if (exitCode !== 0) throw new Error(stderr);
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, "");
}

async function connected(cluster: Cluster, database: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: cluster.url(database) });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}
