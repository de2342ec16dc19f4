import type { ChildProcess } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Cluster, startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { fetchCommand, until, WalSetting } from "./setting.ts";

const receiveArgs = ["wal", "receive", "--database", "main", "--create-slot", "--every", "200ms"];

/** The built command, running. */
export class Receiver {
  output = "";
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    this.ended = new Promise((resolve) => child.once("close", resolve));
  }

  static async start(setting: WalSetting, args: readonly string[] = receiveArgs): Promise<Receiver> {
    return new Receiver(await setting.startAsServer(args));
  }

  async says(text: string): Promise<void> {
    await until(async () => this.output.includes(text), `"${text}" of the receiver: ${this.output}`);
  }

  /** Its exit code; null where the signal ended it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** A server without archive_command: what is in the archive, a receiver brought. */
export class ReceiveSetting {
  readonly wal: WalSetting;
  private readonly receivers: Receiver[] = [];
  private readonly restored: string[] = [];

  private constructor(wal: WalSetting) {
    this.wal = wal;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<ReceiveSetting> {
    const wal = await WalSetting.start({ archive_mode: "off", ...settings });
    const setting = new ReceiveSetting(wal);
    await wal.query("CREATE TABLE ledger (n int)");
    return setting;
  }

  /** The server again, on the port that it had. */
  async restart(): Promise<void> {
    const { directory, port } = this.wal.cluster;
    const settings = { fsync: "off", wal_level: "replica" };
    this.wal.cluster = await startCluster({ directory, port, settings });
  }

  async stop(): Promise<void> {
    for (const each of this.receivers) await each.end("SIGKILL");
    for (const each of this.restored) await stopCluster(each);
    await this.wal.stop();
  }

  async receiver(args: readonly string[] = receiveArgs): Promise<Receiver> {
    const receiver = await Receiver.start(this.wal, args);
    this.receivers.push(receiver);
    return receiver;
  }

  /** Rows, and the position behind their commit. */
  async write(from: number, to: number): Promise<string> {
    await this.wal.query(`INSERT INTO ledger SELECT generate_series(${from}, ${to})`);
    const [row] = await this.wal.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::text AS lsn");
    return row?.lsn ?? "";
  }

  /** That everything before is confirmed, which is where the server may remove its log up to. */
  async untilDurable(lsn: string): Promise<void> {
    await until(
      async () => {
        const [row] = await this.wal.query<{ yes: boolean | null }>(
          `SELECT restart_lsn >= '${lsn}' AS yes FROM pg_replication_slots WHERE slot_name = 'ops_main'`,
        );
        return row?.yes === true;
      },
      `${lsn} to be confirmed; the receivers said: ${this.receivers.map((each) => each.output).join("; ")}`,
    );
  }

  /** Names of the live parts. */
  async liveParts(store = "store"): Promise<string[]> {
    const folder = this.wal.path(store, "pitr/main/live");
    const names = await readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    return names.filter((each) => each.endsWith(".age"));
  }

  async base(name: string): Promise<void> {
    await this.wal.baseBackup(name);
    const directory = this.wal.path(name);
    const { owner } = await serverUser(directory);
    if (owner !== undefined) await runProgram("chown", ["-R", `${owner.uid}:${owner.gid}`, directory]);
    await runProgram("chmod", ["700", directory]);
  }

  /** A standby that streams from the server, on a port of its own. */
  async standby(name: string): Promise<Cluster> {
    await this.base(name);
    const directory = this.wal.path(name);
    await writeFile(join(directory, "standby.signal"), "");
    this.restored.push(directory);
    return startCluster({
      directory,
      settings: {
        fsync: "off",
        wal_keep_size: "256MB",
        primary_conninfo: `host=127.0.0.1 port=${this.wal.cluster.port} user=postgres`,
      },
    });
  }

  /** Starts a copy of the base backup, which recovers from the archive alone to its end. */
  async recover(base: string, settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const directory = this.wal.path(`${base}-recovered${this.restored.length}`);
    await runProgram("cp", ["-a", this.wal.path(base), directory]);
    await writeFile(join(directory, "recovery.signal"), "");
    this.restored.push(directory);
    const cluster = await startCluster({
      directory,
      env: { OPS_CONFIG: this.wal.config, HOME: this.wal.folder },
      settings: { archive_mode: "off", restore_command: fetchCommand, fsync: "off", ...settings },
    });
    await until(async () => !(await this.wal.isRecovering(cluster)), "the recovery to end");
    return cluster;
  }
}
