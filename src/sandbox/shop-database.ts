import pg from "pg";
import { clusterUrl } from "../postgres/cluster.ts";
import { pristineDatabase, shopDatabase } from "./layout.ts";

/** The cluster's own databases; every other one came with the sandbox's use and goes with `reset`. */
const kept = ["postgres", "template0", "template1", pristineDatabase];

export async function createShop(port: number): Promise<void> {
  await withSuperuser(port, (client) => client.query(`CREATE DATABASE ${shopDatabase}`));
}

/** Keeps the database as it is now, for `restoreShop`. Nobody may be connected to it. */
export async function keepPristineShop(port: number): Promise<void> {
  await withSuperuser(port, async (client) => {
    // Ends the sample application's connections; it opens new ones.
    await disconnectAll(client, shopDatabase);
    await client.query(`CREATE DATABASE ${pristineDatabase} TEMPLATE ${shopDatabase} IS_TEMPLATE true`);
    await client.query(`ALTER DATABASE ${pristineDatabase} ALLOW_CONNECTIONS false`);
  });
}

/** Makes the database anew from what was kept, and drops every database that was made since. */
export async function restoreShop(port: number): Promise<void> {
  await withSuperuser(port, async (client) => {
    const { rows } = await client.query("SELECT datname FROM pg_database WHERE datname <> ALL($1)", [kept]);
    for (const { datname } of rows) {
      await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(datname)} WITH (FORCE)`);
    }
    await client.query(`CREATE DATABASE ${shopDatabase} TEMPLATE ${pristineDatabase}`);
  });
}

/** Whether the database answers. */
export async function shopAnswers(port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: clusterUrl(port, shopDatabase),
    connectionTimeoutMillis: 2000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch {
    // Whatever the reason: the answer is no.
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function withSuperuser<T>(port: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: clusterUrl(port, "postgres"),
    application_name: "ops sandbox",
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function disconnectAll(client: pg.Client, database: string): Promise<void> {
  await client.query("SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = $1", [
    database,
  ]);
}
