import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Cluster, startCluster, stopCluster } from "../../../../src/postgres/cluster.ts";
import { serverUser } from "../../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../../src/process/run-program.ts";
import { perform } from "../../../support/context.ts";
import { archiveCommand, until } from "../../wal/setting.ts";
import { operation, PitrSetting } from "../setting.ts";
import type { Random } from "./random.ts";
import { type Place, pause, schema, Writer } from "./writer.ts";

const settings = {
  fsync: "off",
  track_commit_timestamp: "on",
  max_prepared_transactions: "8",
  // The standby reads the log of before its base backup.
  wal_keep_size: "2GB",
};
const archiving = {
  ...settings,
  wal_level: "replica",
  archive_mode: "on",
  archive_command: archiveCommand,
};

/** A committed row as the server tells it afterwards. */
export interface Committed {
  /** Microseconds since 1970, by the server's clock. */
  readonly at: bigint;
}

/** The rows of a timeline, those of its ancestors included, by number. */
export type Timeline = ReadonlyMap<number, Committed>;

export interface MadePoint {
  readonly name: string;
  readonly lsn: string;
  readonly timeline: number;
}

export interface MadeBase {
  readonly id: string;
  /** The earliest position and moment to restore to. */
  readonly stopLsn: string;
  readonly restorableFrom: string;
}

/**
 * The life of a cluster while three writers commit numbered rows into it: base backups under load, restore points,
 * WAL switches, a crash, and the loss of the server, whose standby goes on a little before where it ended.
 */
export class History {
  readonly setting: PitrSetting;
  readonly writers: readonly Writer[];
  /** What was committed, by timeline, as the server itself says. */
  readonly timelines = new Map<number, Timeline>();
  readonly bases: MadeBase[] = [];
  readonly points: MadePoint[] = [];
  private readonly place: Place = { url: undefined };
  private readonly random: Random;
  private standby: Cluster | undefined;

  private constructor(setting: PitrSetting, random: Random) {
    this.setting = setting;
    this.random = random;
    let last = 0;
    const nextNumber = () => {
      last += 1;
      return last;
    };
    this.writers = [1, 2, 3].map((id) => new Writer(id, this.place, random.fork(), nextNumber));
  }

  /** @param seconds how long each of its six parts is written for */
  static async live(random: Random, seconds: number): Promise<History> {
    const setting = await PitrSetting.start(settings);
    const history = new History(setting, random);
    try {
      await history.run(seconds);
      return history;
    } catch (error) {
      await history.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.place.url = undefined;
    await Promise.all(this.writers.map((each) => each.stop()));
    await this.standby?.stop();
    await this.setting.stop();
  }

  private async run(seconds: number): Promise<void> {
    const { wal } = this.setting;
    await wal.query(schema);
    this.place.url = wal.cluster.url();
    for (const each of this.writers) each.start();
    await this.base();
    await this.write(seconds);
    await this.base();
    await this.write(seconds);
    await this.crash();
    await this.write(seconds);
    await this.base();
    await this.standBy();
    await this.write(seconds);
    await this.leaveBehind(seconds);
    await this.write(seconds / 2);
    await this.base();
    await this.write(seconds / 2);
    await this.finish();
  }

  private async base(): Promise<void> {
    const { output } = await perform(operation("pitr.base.create"), this.setting.context(), {});
    this.bases.push(output as MadeBase);
  }

  /** Lets the writers write, and disturbs them with restore points and WAL switches. */
  private async write(seconds: number): Promise<void> {
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      await pause(Math.min(300 + this.random.below(2500), end - performance.now()));
      if (this.random.next() < 0.5) {
        const name = `point-${this.points.length + 1}`;
        const { output } = await perform(operation("pitr.point"), this.setting.context(), { name });
        this.points.push(output as MadePoint);
      } else await this.setting.wal.query("SELECT pg_switch_wal()");
    }
  }

  private async crash(): Promise<void> {
    const { wal } = this.setting;
    const { directory, port } = wal.cluster;
    await wal.cluster.kill();
    this.place.url = undefined;
    await Promise.all(this.writers.map((each) => each.untilIdle()));
    await until(async () => {
      // The processes of the killed one hold its memory until they notice.
      const started = await startCluster({ directory, port, env: this.env, settings: archiving }).catch(
        () => undefined,
      );
      if (started !== undefined) wal.cluster = started;
      return started !== undefined;
    }, "the crashed server to start again");
    await this.forgetPrepared();
    this.place.url = wal.cluster.url();
  }

  private async standBy(): Promise<void> {
    const { wal } = this.setting;
    await wal.baseBackup("standby");
    const directory = wal.path("standby");
    await writeFile(join(directory, "standby.signal"), "");
    const { owner } = await serverUser(directory);
    if (owner !== undefined) await runProgram("chown", ["-R", `${owner.uid}:${owner.gid}`, directory]);
    await chmod(directory, 0o700);
    await writeFile(
      join(directory, "postgresql.auto.conf"),
      `primary_conninfo = 'host=127.0.0.1 port=${wal.cluster.port} user=postgres'\n`,
    );
    this.standby = await startCluster({ directory, env: this.env, settings: archiving });
  }

  /** Cuts the standby off, lets the server archive what the standby never gets, kills it and promotes the standby. */
  private async leaveBehind(seconds: number): Promise<void> {
    const { wal } = this.setting;
    const { standby } = this;
    if (standby === undefined) throw new Error("there is no standby");
    await writeFile(join(standby.directory, "postgresql.auto.conf"), "primary_conninfo = ''\n");
    process.kill(standby.pid, "SIGHUP");
    await until(async () => {
      const [row] = await wal.query<{ count: number }>("SELECT count(*)::int FROM pg_stat_replication");
      return row?.count === 0;
    }, "the standby to be cut off");
    await this.write(seconds);
    this.place.url = undefined;
    await Promise.all(this.writers.map((each) => each.untilIdle()));
    await this.keep(1);
    await this.switched();
    const left = wal.cluster;
    await left.kill();
    await stopCluster(left.directory);

    wal.cluster = standby;
    await wal.configure();
    await wal.query("SELECT pg_promote(true)");
    await this.forgetPrepared();
    this.place.url = standby.url();
  }

  private async finish(): Promise<void> {
    this.place.url = undefined;
    await Promise.all(this.writers.map((each) => each.stop()));
    await this.keep(2);
    await this.switched();
  }

  private async switched(): Promise<void> {
    const [last] = await this.setting.wal.fillSegments(1);
    await until(() => this.setting.wal.isInStore(last ?? ""), "the last segment to be archived");
  }

  private async keep(timeline: number): Promise<void> {
    const rows = await this.setting.wal.query<{ n: number; at: string }>(
      `SELECT n, round(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint::text AS at FROM ledger`,
    );
    this.timelines.set(timeline, new Map(rows.map(({ n, at }) => [n, { at: BigInt(at) }])));
  }

  /** What was prepared and not committed when its server was lost would keep the others waiting. */
  private async forgetPrepared(): Promise<void> {
    const { wal } = this.setting;
    for (const { gid } of await wal.query<{ gid: string }>("SELECT gid FROM pg_prepared_xacts"))
      await wal.query(`ROLLBACK PREPARED '${gid}'`);
  }

  private get env() {
    return { OPS_CONFIG: this.setting.wal.config, HOME: this.setting.wal.folder };
  }
}
