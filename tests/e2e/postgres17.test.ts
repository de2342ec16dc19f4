import { chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Cluster, startCluster, stopCluster } from "../../src/postgres/cluster.ts";
import { serverUser } from "../../src/postgres/unprivileged.ts";
import { until } from "../integration/wal/setting.ts";
import { ops } from "../support/ops.ts";
import { startTestCluster } from "../support/postgres.ts";
import { postgres17 } from "../support/postgres17.ts";

/** What a team with a server of PostgreSQL 17, and an older one, does with the built command. */
let folder: string;
let old: Cluster;
let server: Cluster;
const started: string[] = [];

async function startServer(port?: number): Promise<Cluster> {
  return startCluster({
    directory: join(folder, "data"),
    major: 17,
    port,
    env: { HOME: folder },
    settings: { fsync: "off" },
  });
}

beforeAll(async () => {
  postgres17();
  folder = await mkdtemp(join(tmpdir(), "ops-17-"));
  const { owner } = await serverUser(join(folder, "data"));
  await mkdir(join(folder, "archive"));
  if (owner !== undefined) {
    for (const each of [folder, join(folder, "archive")]) await chown(each, owner.uid, owner.gid);
  }
  old = await startTestCluster();
  server = await startServer();
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const keys = `recipients: [${recipient}], identity: ${identity}`;
  await writeFile(
    join(folder, ".opsrc"),
    [
      "databases:",
      `  main: { url: "${server.url()}", pitr: { store: archive } }`,
      `  old: { url: "${old.url()}" }`,
      `  limited: { url: "${server.url("limited")}" }`,
      "stores:",
      `  local: { url: "file:backups", ${keys} }`,
      `  archive: { url: "file:archive", ${keys} }`,
      "",
    ].join("\n"),
  );
}, 60_000);

afterAll(async () => {
  for (const each of started) await stopCluster(each);
  await server?.stop();
  await old?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await ops(args, {
    config: join(folder, ".opsrc"),
    cwd: folder,
  });
  expect(exitCode, `${args.join(" ")}: ${stderr}`).toBe(0);
  return stdout;
}

const change = (...args: string[]) => run(...args, "--yes");

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

it("is set up, copied whole and incrementally, and restored to a named moment", async () => {
  const said = await change("pitr", "setup", "--database", "main");
  expect(said).toMatch(/archive_mode, archive_command, archive_timeout, summarize_wal/);
  await server.stop();
  server = await startServer(server.port);
  // The server's user makes the archive's folders: the tests may run as root.
  await query(server.url(), "SELECT pg_switch_wal()");
  await until(async () => {
    const [row] = await query<{ n: number }>(
      server.url(),
      "SELECT archived_count::int AS n FROM pg_stat_archiver",
    );
    return (row?.n ?? 0) > 0;
  }, "the first segment to be archived");
  await query(server.url(), "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id");

  await change("pitr", "base", "create", "--database", "main");
  await query(server.url(), "INSERT INTO orders SELECT generate_series(101, 150)");
  expect(await change("pitr", "base", "create", "--incremental", "--database", "main")).toMatch(
    /^Incremental base backup/m,
  );
  await change("pitr", "point", "before-the-accident", "--database", "main");
  await query(server.url(), "DELETE FROM orders");
  await until(async () => {
    const sql = "SELECT count(*)::int AS n FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
    const [row] = await query<{ n: number }>(server.url(), sql);
    return row?.n === 0;
  }, "the WAL up to the point to be archived");

  const directory = join(folder, "restored");
  started.push(directory);
  const args = [
    "--to-name",
    "before-the-accident",
    "--target-dir",
    directory,
    "--start",
    "--database",
    "main",
  ];
  const restored = await change("pitr", "restore", ...args);
  const port = /127\.0\.0\.1:(\d+)/.exec(restored)?.[1];
  const url = `postgresql://postgres@127.0.0.1:${port}/postgres`;
  expect(await query(url, "SELECT count(*)::int AS n FROM orders")).toEqual([{ n: 150 }]);
}, 180_000);

it("is dumped, proven by a drill and restored", async () => {
  await query(server.url(), "CREATE TABLE invoices AS SELECT generate_series(1, 30) AS id");

  await change("backup", "create", "--database", "main", "--store", "local");
  await run("backup", "verify", "latest", "--level", "drill", "--database", "main", "--store", "local");
  await change("backup", "restore", "latest", "--into", "again", "--database", "main", "--store", "local");

  expect(await query(server.url("again"), "SELECT count(*)::int AS n FROM invoices")).toEqual([{ n: 30 }]);
}, 180_000);

it("takes in the dump of an older server; the older one refuses its dump", async () => {
  await query(old.url(), "CREATE TABLE history AS SELECT generate_series(1, 40) AS id");
  const id = /\S+-old-\w{4}/.exec(
    await change("backup", "create", "--database", "old", "--store", "local"),
  )?.[0];

  await change("backup", "restore", id ?? "", "--into", "moved", "--database", "main", "--store", "local");
  expect(await query(server.url("moved"), "SELECT count(*)::int AS n FROM history")).toEqual([{ n: 40 }]);

  const newest = /\S+-main-\w{4}/.exec(
    await change("backup", "create", "--database", "main", "--store", "local"),
  )?.[0];
  const back = [
    "backup",
    "restore",
    newest ?? "",
    "--into",
    "back",
    "--database",
    "old",
    "--store",
    "local",
    "--yes",
  ];
  const refused = await ops(back, { config: join(folder, ".opsrc"), cwd: folder });
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/--older-server/) });
}, 180_000);

it("is migrated for longer than its transaction_timeout, which each migration keeps", async () => {
  await query(server.url(), "CREATE DATABASE limited");
  await query(server.url(), "ALTER DATABASE limited SET transaction_timeout = '700ms'");
  await mkdir(join(folder, "migrations"));
  for (const version of [1, 2, 3]) {
    const sql = `CREATE TABLE t${version} (); SELECT pg_sleep(0.4);`;
    await writeFile(join(folder, "migrations", `${version}_t.up.sql`), sql);
  }
  expect(await change("migrate", "up", "--database", "limited")).toMatch(/3_t/);
});
