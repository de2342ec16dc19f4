import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { operations } from "../../../src/migrate/operations.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { type TestContext, testContext } from "../../support/context.ts";

/** A database of its own with a folder of migrations beside it. */
export class Project {
  readonly folder: string;
  readonly url: string;
  readonly databaseName: string;
  private readonly cluster: Cluster;
  private readonly clients: pg.Client[] = [];

  private constructor(cluster: Cluster, folder: string, databaseName: string) {
    this.cluster = cluster;
    this.folder = folder;
    this.databaseName = databaseName;
    this.url = cluster.url(databaseName);
  }

  static async create(cluster: Cluster, files: Readonly<Record<string, string>>): Promise<Project> {
    const folder = await mkdtemp(join(tmpdir(), "ops-mig-"));
    const name = `t${Math.random().toString(36).slice(2)}`;
    await administer(cluster, `CREATE DATABASE ${name}`);
    const project = new Project(cluster, folder, name);
    await project.write(files);
    return project;
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, sql] of Object.entries(files)) {
      await mkdir(dirname(join(this.folder, name)), { recursive: true });
      await writeFile(join(this.folder, name), sql);
    }
  }

  async remove(fileName: string): Promise<void> {
    await rm(join(this.folder, fileName));
  }

  /** @param url another way to its database: through a proxy, a pooler */
  context(runId: string | undefined = "run-1", url = this.url): TestContext {
    return {
      ...testContext({ databases: { main: { url, migrations: this.folder } } }),
      runId,
      actor: "ann@laptop",
    };
  }

  async connect(application = "test"): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url, application_name: application });
    client.on("error", () => undefined);
    await client.connect();
    this.clients.push(client);
    return client;
  }

  async query<T extends pg.QueryResultRow>(sql: string): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query<T>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** The versions in the history, and the tables of the application. */
  async state(): Promise<{ applied: string[]; tables: string[] }> {
    const tables = await this.query<{ name: string }>(
      "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables WHERE table_schema IN ('public', 'ops') ORDER BY 1",
    );
    const names = tables.map((each) => each.name);
    const applied = names.includes("ops.migration")
      ? await this.query<{ version: string }>("SELECT version FROM ops.migration ORDER BY version")
      : [];
    return {
      applied: applied.map((each) => each.version),
      tables: names.filter((each) => each.startsWith("public.")).map((each) => each.slice(7)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map((each) => each.end()));
    await administer(this.cluster, `DROP DATABASE ${this.databaseName} WITH (FORCE)`);
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function administer(cluster: Cluster, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.url() });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

export function operation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

export const up = operation("migrate.up");
export const down = operation("migrate.down");
export const status = operation("migrate.status");

/** Three migrations with their ways back. */
export const shop = {
  "0001_orders.up.sql": "CREATE TABLE orders (id int PRIMARY KEY);",
  "0001_orders.down.sql": "DROP TABLE orders;",
  "0002_status.up.sql": "ALTER TABLE orders ADD COLUMN status text;\nCREATE TABLE status (name text);",
  "0002_status.down.sql": "DROP TABLE status;\nALTER TABLE orders DROP COLUMN status;",
  "0003_items.up.sql": "CREATE TABLE items (id int);",
  "0003_items.down.sql": "DROP TABLE items;",
};

/** Polls until the condition holds; fails after half a minute, which is long on a machine that is not busy. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("the condition did not come to hold within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
