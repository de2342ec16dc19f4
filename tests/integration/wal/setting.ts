import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import pg from "pg";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { findProgram } from "../../../src/postgres/programs.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { childEnvironment, runProgram } from "../../../src/process/run-program.ts";
import { type OpsResult, projectRoot } from "../../support/ops.ts";

const launcher = join(projectRoot, "bin/ops");
export const archiveCommand = `OPS_NODE=${process.execPath} ${launcher} wal push %p --database main`;

export const fetchCommand = `OPS_NODE=${process.execPath} ${launcher} wal fetch %f %p --database main`;

/** A server that archives with the built command to a store in a folder, all in one temp folder of their own. */
export class WalSetting {
  readonly folder: string;
  readonly identity: string;
  readonly recipient: string;
  readonly config: string;
  cluster: Cluster;

  private constructor(folder: string, identity: string, recipient: string, cluster: Cluster) {
    this.folder = folder;
    this.identity = identity;
    this.recipient = recipient;
    this.config = join(folder, "opsrc.yaml");
    this.cluster = cluster;
  }

  /**
   * @param settings of the server; archive_command is the built one
   * @param major of the server; default: the system's own
   */
  static async start(settings: Readonly<Record<string, string>> = {}, major?: number): Promise<WalSetting> {
    const folder = await mkdtemp(join(tmpdir(), "ops-wal-"));
    try {
      const identity = await generateX25519Identity();
      const recipient = await identityToRecipient(identity);
      const { owner } = await serverUser(join(folder, "data"));
      await mkdir(join(folder, "store"));
      if (owner !== undefined) {
        for (const each of [folder, join(folder, "store")]) await chown(each, owner.uid, owner.gid);
      }
      const cluster = await startCluster({
        directory: join(folder, "data"),
        major,
        env: { OPS_CONFIG: join(folder, "opsrc.yaml"), HOME: folder },
        settings: {
          fsync: "off",
          wal_level: "replica",
          archive_mode: "on",
          archive_command: archiveCommand,
          ...settings,
        },
      });
      const setting = new WalSetting(folder, identity, recipient, cluster);
      await setting.configure();
      return setting;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Writes `.opsrc` with the stores of these names, each a folder. Default of `url`: the server's. */
  async configure(stores: readonly string[] = ["store"], url = this.cluster.url()): Promise<void> {
    const lines = stores.flatMap((each) => [
      `  ${each}:`,
      `    url: file:${each}`,
      `    recipients: [${this.recipient}]`,
      `    identity: ${this.identity}`,
    ]);
    const text = [
      "databases:",
      "  main:",
      `    url: ${url}`,
      `    pitr: { stores: [${stores.join(", ")}] }`,
      "stores:",
      ...lines,
      "",
    ].join("\n");
    await writeFile(this.config, text);
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]> {
    return queried<T>(this.cluster, sql);
  }

  /** Fills so many segments with something, and returns the names of those that are finished by it. */
  async fillSegments(count: number): Promise<string[]> {
    const names: string[] = [];
    for (let each = 0; each < count; each += 1) {
      await this.query("SELECT pg_logical_emit_message(false, 'test', repeat(md5(random()::text), 2000))");
      const [row] = await this.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
      if (row !== undefined) names.push(row.name);
    }
    return names;
  }

  /** A base backup by the stock program, without any WAL in it. */
  async baseBackup(name: string): Promise<void> {
    const { path } = await findProgram("pg_basebackup", 15);
    const args = ["-D", this.path(name), "-X", "none", "-c", "fast", "--no-sync", "-d", this.cluster.url()];
    const { exitCode, stderr } = await runProgram(path, args);
    if (exitCode !== 0) throw new Error(stderr);
  }

  async rowsOf(cluster: Cluster, table: string): Promise<number> {
    const [row] = await queried<{ count: number }>(cluster, `SELECT count(*)::int AS count FROM ${table}`);
    return row?.count ?? 0;
  }

  queryOf<T extends pg.QueryResultRow>(cluster: Cluster, sql: string): Promise<T[]> {
    return queried<T>(cluster, sql);
  }

  async isRecovering(cluster: Cluster): Promise<boolean> {
    const [row] = await queried<{ yes: boolean }>(cluster, "SELECT pg_is_in_recovery() AS yes");
    return row?.yes === true;
  }

  /** Runs the built command as the server would: its user, its folder. */
  async asServer(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<OpsResult> {
    const child = await this.startAsServer(args, env);
    return new Promise((resolve, reject) => {
      let stdout = "";
      let stderr = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        stdout += chunk.toString();
      });
      child.stderr?.on("data", (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      child.once("error", reject);
      child.once("close", (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }));
    });
  }

  async startAsServer(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ChildProcess> {
    const { prefix } = await serverUser(this.cluster.directory);
    const [file = "", ...rest] = [...prefix, launcher, ...args];
    return spawn(file, rest, {
      cwd: this.cluster.directory,
      env: childEnvironment({
        OPS_NODE: process.execPath,
        OPS_CONFIG: this.config,
        HOME: this.folder,
        ...env,
      }),
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** What is in the archive under this name, opened with the stock tools. */
  async archived(file: string, store = "store"): Promise<Buffer> {
    const key = this.path("identity.txt");
    await writeFile(key, `${this.identity}\n`, { mode: 0o600 });
    const object = this.path(store, "pitr/main/wal", file.slice(0, 8), `${file}.zst.age`);
    const compressed = execFileSync("age", ["-d", "-i", key, object], { maxBuffer: 2 ** 26 });
    return execFileSync("zstd", ["-dc"], { input: compressed, maxBuffer: 2 ** 26 });
  }

  /** An empty folder that the server's user may write to. */
  async asServerFolder(name: string): Promise<void> {
    const { owner } = await serverUser(this.cluster.directory);
    await mkdir(this.path(name));
    if (owner !== undefined) await chown(this.path(name), owner.uid, owner.gid);
  }

  inPgWal(file: string): string {
    return join(this.cluster.directory, "pg_wal", file);
  }

  read(file: string): Promise<Buffer> {
    return readFile(this.inPgWal(file));
  }

  async isInStore(file: string, store = "store"): Promise<boolean> {
    const object = this.path(store, "pitr/main/wal", file.slice(0, 8), `${file}.zst.age`);
    return stat(object).then(
      () => true,
      () => false,
    );
  }

  async untilArchived(file: string): Promise<void> {
    await until(async () => {
      const [row] = await this.query<{ last: string | null }>(
        "SELECT last_archived_wal AS last FROM pg_stat_archiver",
      );
      return (row?.last ?? "") >= file;
    }, `${file} to be archived`);
  }
}

/** Asks again and again, for at most 45 s. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 45_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function queried<T extends pg.QueryResultRow>(cluster: Cluster, sql: string): Promise<T[]> {
  const client = new pg.Client(cluster.url());
  // A test may kill the server behind this session: the query says so, and an event that nobody hears ends the run.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}
