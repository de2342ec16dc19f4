/* The server that is backed up, its log, and servers that are restored: all in one folder that is removed in the end. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, renameSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import pg from "pg";
import { serverBinaries } from "../src/postgres/binaries.ts";
import { startCluster, stopCluster } from "../src/postgres/cluster.ts";
import { serverUser } from "../src/postgres/unprivileged.ts";
import { freePort } from "../src/process/free-port.ts";
import { measured } from "./measured.mjs";
import { opsConfigurationFile, pgBackRestConfiguration } from "./pitr-tools.mjs";

/** @import { Cost } from "./measured.mjs" */
/** @import { Setting, Tool } from "./pitr-tools.mjs" */
/** @import { Cluster } from "../src/postgres/cluster.ts" */

const segmentBytes = 16 * 2 ** 20;
/** How often a shell looks whether something is done, seconds. */
const look = 0.02;

export class PitrBench {
  /** @type {string} */
  folder;
  /** @type {Cluster} */
  cluster;
  /** @type {Setting} */
  setting;
  /** @type {Record<string, string>} */
  env;

  /** @param {string} folder @param {Cluster} cluster @param {Setting} setting @param {Record<string, string>} env */
  constructor(folder, cluster, setting, env) {
    this.folder = folder;
    this.cluster = cluster;
    this.setting = setting;
    this.env = env;
  }

  /** @param {string} below the folder to make one in @returns {Promise<PitrBench>} */
  static async start(below) {
    const folder = await mkdtemp(join(resolve(below), "ops-bench-"));
    /** @type {Cluster | undefined} */
    let cluster;
    try {
      const user = await serverUser(join(folder, "data"));
      const own = async (/** @type {string} */ path) =>
        user.owner === undefined ? undefined : chown(path, user.owner.uid, user.owner.gid);
      await chmod(folder, 0o755);
      await own(folder);
      for (const name of [
        "socket",
        "pgbackrest",
        "spool",
        "lock",
        "log",
        "store",
        "stock",
        "restored",
        "home",
      ]) {
        await mkdir(join(folder, name));
        await own(join(folder, name));
      }
      const env = { PATH: `${await serverBinaries()}:${process.env.PATH}`, HOME: join(folder, "home") };
      cluster = await startCluster({
        directory: join(folder, "data"),
        env,
        settings: {
          archive_mode: "on",
          // Nothing of the log is removed: every tool archives the same segments.
          wal_keep_size: "1TB",
          max_wal_size: "8GB",
          checkpoint_timeout: "1h",
          shared_buffers: "128MB",
          autovacuum: "off",
          unix_socket_directories: join(folder, "socket"),
        },
      });
      const shell = (/** @type {string} */ script) => run(script, folder, env);
      shell("age-keygen -o identity.txt");
      const recipient = shell("age-keygen -y identity.txt").trim();
      const setting = { folder, url: cluster.url("main"), recipient, asServer: user.prefix.join(" ") };
      await writeFile(join(folder, ".opsrc"), opsConfigurationFile(setting));
      await writeFile(
        join(folder, "pgbackrest.conf"),
        pgBackRestConfiguration({ folder, port: cluster.port }),
      );
      for (const name of ["identity.txt", ".opsrc", "pgbackrest.conf"]) await own(join(folder, name));
      const bench = new PitrBench(folder, cluster, setting, env);
      await bench.query("CREATE DATABASE main", "postgres");
      return bench;
    } catch (error) {
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends everything that was started, also what the tools have left running, and removes the folder. */
  async stop() {
    await stopCluster(join(this.folder, "restored", "data"));
    await this.cluster.stop();
    for (const pid of processesOf(this.folder)) kill(pid);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** @param {string} script of a shell, in the folder */
  shell(script) {
    return run(script, this.folder, this.env);
  }

  /** @param {string} sql @param {string} [database] @returns {Promise<string>} the first column of the first row */
  async query(sql, database = "main") {
    const client = new pg.Client({ connectionString: this.cluster.url(database) });
    await client.connect();
    try {
      const { rows } = await client.query({ text: sql, rowMode: "array" });
      return String(rows[0]?.[0] ?? "");
    } finally {
      await client.end();
    }
  }

  /** @param {Tool | undefined} tool undefined: the server keeps its log */
  async archiveBy(tool) {
    const command = tool?.archiveCommand?.(this.setting) ?? (tool === undefined ? "" : "true");
    await this.query(`ALTER SYSTEM SET archive_command = '${command.replaceAll("'", "''")}'`);
    await this.query("SELECT pg_reload_conf()");
  }

  /** @param {string} name @param {string} script @returns {Promise<Cost>} */
  measured(name, script) {
    return measured(name, script, { cwd: this.folder, env: this.env });
  }

  /**
   * Writes rows until so many segments of the log are full; the rows stay, so that a replay has something to make.
   *
   * @param {number} count @returns {Promise<string[]>} the segments
   */
  async writeSegments(count) {
    const first = await this.query("SELECT pg_walfile_name(pg_switch_wal())");
    const from = await this.query("SELECT pg_current_wal_lsn()");
    const isFull = async () =>
      Number(await this.query(`SELECT pg_current_wal_lsn() - '${from}'::pg_lsn`)) >=
      (count - 1) * segmentBytes;
    await this.query("CREATE TABLE IF NOT EXISTS load (LIKE notes)");
    for (let part = 0; !(await isFull()); part += 1) {
      await this.query(
        `INSERT INTO load SELECT * FROM notes ORDER BY id LIMIT 20000 OFFSET ${part % 4} * 20000`,
      );
      await this.query(
        `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 97 = ${part % 97} AND aid <= 500000`,
      );
    }
    await this.query("SELECT pg_switch_wal()");
    const all = this.segments().filter((each) => each > first);
    return all.slice(0, count);
  }

  /** Those that are full, in order. */
  segments() {
    return readdirSync(join(this.folder, "data/pg_wal/archive_status"))
      .map((each) => each.replace(/\.(ready|done)$/, ""))
      .filter((each) => /^[0-9A-F]{24}$/.test(each))
      .sort();
  }

  /** The server asks again for these, and for nothing else. @param {readonly string[]} segments */
  askFor(segments) {
    const folder = join(this.folder, "data/pg_wal/archive_status");
    const wanted = new Set(segments);
    for (const each of readdirSync(folder)) {
      const name = each.replace(/\.(ready|done)$/, "");
      const target = `${name}.${wanted.has(name) ? "ready" : "done"}`;
      if (target !== each) renameSync(join(folder, each), join(folder, target));
    }
  }

  /** A script that ends when the server waits for no file any more. */
  get untilArchived() {
    return `while compgen -G 'data/pg_wal/archive_status/*.ready' > compgen.out; do sleep ${look}; done`;
  }

  /** Starts the server that was restored, and ends when it has replayed everything. */
  async replayed() {
    const port = await freePort();
    const options = `-c port=${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c logging_collector=off -c hot_standby=off -c archive_mode=off -c log_min_messages=log`;
    const ready = "database system is ready to accept connections";
    const pid = "$(head -n 1 restored/data/postmaster.pid)";
    return {
      url: this.setting.url.replace(`:${this.cluster.port}/`, `:${port}/`),
      script:
        `rm -f restored/log && ${this.setting.asServer} pg_ctl start -s -W -D restored/data -l restored/log -o '${options}' 3>&-\n` +
        `until test -e restored/data/postmaster.pid; do sleep ${look}; done\n` +
        `until grep -qs '${ready}' restored/log; do kill -0 "${pid}" || { tail restored/log >&2; exit 1; }; sleep ${look}; done`,
    };
  }

  async removeRestored() {
    await stopCluster(join(this.folder, "restored", "data"));
    this.shell("rm -rf restored/*");
  }
}

/** @param {string} script @param {string} cwd @param {Record<string, string>} env */
function run(script, cwd, env) {
  return execFileSync("bash", ["-c", `set -e -o pipefail\n${script}`], {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** What works in the folder, or names it: a tool that archives or reads ahead outlives who started it. */
/** @param {string} folder */
function processesOf(folder) {
  return readdirSync("/proc")
    .filter((each) => /^\d+$/.test(each) && Number(each) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${folder}/`) ||
          readlinkSync(`/proc/${pid}/cwd`).startsWith(folder)
        );
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    // It has ended meanwhile.
  }
}
