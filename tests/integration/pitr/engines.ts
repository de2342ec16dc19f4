import { chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { type Cluster, startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { type Performed, perform, type TestContext, testContext } from "../../support/context.ts";
import { operation, PitrSetting, queryPort } from "./setting.ts";

/** A server that archives with one of the engines; what the contract of engines needs of it. */
export interface EngineSetting {
  /** What `ops` reads, for tests that run the built command. */
  readonly config: string;
  readonly folder: string;
  /** The place of the archive, as `--store` names it. */
  readonly store: string;
  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]>;
  /** @param url of another server, in the place of the archived one */
  context(url?: string): TestContext;
  newFolder(): string;
  /** A folder for a tablespace on the server. */
  tablespaceFolder(name: string): Promise<string>;
  /** Everything that is written by now. */
  untilArchived(): Promise<void>;
  restore(input: object): Promise<Performed>;
  stop(): Promise<void>;
}

export const engines: Readonly<Record<"ops" | "pgbackrest", () => Promise<EngineSetting>>> = {
  ops: async () => new OpsEngineSetting(await PitrSetting.start()),
  pgbackrest: () => PgBackRestSetting.start(),
};

class OpsEngineSetting implements EngineSetting {
  readonly store = "store";
  private readonly setting: PitrSetting;

  constructor(setting: PitrSetting) {
    this.setting = setting;
  }

  get config() {
    return this.setting.wal.config;
  }

  get folder() {
    return this.setting.wal.folder;
  }

  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]> {
    return this.setting.wal.query<T>(sql);
  }

  context(url?: string): TestContext {
    const { settings } = this.setting;
    if (url === undefined) return this.setting.context();
    return this.setting.context({ ...settings, databases: { main: { ...settings.databases.main, url } } });
  }

  newFolder(): string {
    return this.setting.newFolder();
  }

  tablespaceFolder(name: string): Promise<string> {
    return this.setting.tablespaceFolder(name);
  }

  async untilArchived(): Promise<void> {
    const [row] = await this.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
    await this.setting.wal.untilArchived(row?.name ?? "");
  }

  restore(input: object): Promise<Performed> {
    return this.setting.restore(input);
  }

  stop(): Promise<void> {
    return this.setting.stop();
  }
}

/** Of the repository: nothing that `ops` prints may hold it. */
export const cipherPass = "correct-horse-battery-staple-42";

/** A server that archives with the installed pgBackRest into a folder, encrypted. */
export class PgBackRestSetting implements EngineSetting {
  readonly folder: string;
  readonly config: string;
  readonly store = "repo1";
  private readonly cluster: Cluster;
  private readonly restored: string[] = [];
  private count = 0;

  private constructor(folder: string, cluster: Cluster) {
    this.folder = folder;
    this.config = join(folder, "opsrc.yaml");
    this.cluster = cluster;
  }

  /** @param settings of the server; without archive_command, where null */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<PgBackRestSetting> {
    const folder = await mkdtemp(join(tmpdir(), "ops-pbr-"));
    const { owner } = await serverUser(join(folder, "data"));
    const owned = async (path: string) => {
      if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    };
    await owned(folder);
    for (const each of ["repo", "log", "lock", "spool"]) {
      await mkdir(join(folder, each));
      await owned(join(folder, each));
    }
    const cluster = await startCluster({
      directory: join(folder, "data"),
      env: { HOME: folder },
      settings: {
        fsync: "off",
        wal_level: "replica",
        archive_mode: "on",
        archive_command: `pgbackrest --config=${folder}/pgbackrest.conf --stanza=shop archive-push %p`,
        track_commit_timestamp: "on",
        unix_socket_directories: folder,
        ...settings,
      },
    });
    const setting = new PgBackRestSetting(folder, cluster);
    const conf = join(folder, "pgbackrest.conf");
    await writeFile(conf, setting.configuration(), { mode: 0o600 });
    await owned(conf);
    await writeFile(setting.config, JSON.stringify(setting.settings()));
    await setting.program("stanza-create");
    return setting;
  }

  async stop(): Promise<void> {
    for (const each of this.restored) await stopCluster(each);
    await this.cluster.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  settings(url = this.cluster.url()) {
    const pitr = { engine: "pgbackrest", stanza: "shop", config: join(this.folder, "pgbackrest.conf") };
    return { databases: { main: { url, pitr } } };
  }

  context(url?: string): TestContext {
    const settings = this.settings(url);
    const environment = new Environment(
      "default",
      this.folder,
      environmentSchema.parse(settings),
      this.config,
    );
    return { ...testContext(settings, { directory: this.folder }), environment };
  }

  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]> {
    return queryPort<T>(this.cluster.port, sql);
  }

  newFolder(): string {
    this.count += 1;
    const folder = join(this.folder, `restored${this.count}`);
    this.restored.push(folder);
    return folder;
  }

  async tablespaceFolder(name: string): Promise<string> {
    const { owner } = await serverUser(this.cluster.directory);
    const folder = join(this.folder, name);
    await mkdir(folder);
    if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
    return folder;
  }

  async untilArchived(): Promise<void> {
    await this.program("check");
  }

  restore(input: object): Promise<Performed> {
    return perform(operation("pitr.restore"), this.context(), {
      "target-dir": this.newFolder(),
      start: true,
      ...input,
    });
  }

  /** Runs pgBackRest itself, as the server's user. */
  async program(...args: string[]): Promise<string> {
    const { prefix } = await serverUser(this.cluster.directory);
    const conf = join(this.folder, "pgbackrest.conf");
    const [file = "", ...rest] = [...prefix, "pgbackrest", `--config=${conf}`, "--stanza=shop", ...args];
    const { exitCode, stdout, stderr } = await runProgram(file, rest, { cwd: "/" });
    if (exitCode !== 0) throw new Error(`pgbackrest ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  private configuration(): string {
    return [
      "[global]",
      `repo1-path=${this.folder}/repo`,
      "repo1-cipher-type=aes-256-cbc",
      `repo1-cipher-pass=${cipherPass}`,
      "repo1-retention-full=9",
      `log-path=${this.folder}/log`,
      `lock-path=${this.folder}/lock`,
      `spool-path=${this.folder}/spool`,
      "compress-type=zst",
      "[shop]",
      `pg1-path=${this.folder}/data`,
      `pg1-port=${this.cluster.port}`,
      `pg1-socket-path=${this.folder}`,
      "pg1-user=postgres",
      "",
    ].join("\n");
  }
}
