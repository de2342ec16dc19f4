import { access, readdir } from "node:fs/promises";
import { basename } from "node:path";
import { expect } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { ops, startOps } from "../../support/ops.ts";
import { postgres17 } from "../../support/postgres17.ts";
import { until } from "../wal/setting.ts";
import { PitrSetting, queryPort } from "./setting.ts";

/** An archive of a PostgreSQL 17 cluster: a full base backup, two that are incremental to it, and WAL behind them. */
export class ChainSetting {
  readonly pitr: PitrSetting;
  /** Oldest first. */
  readonly bases: readonly string[];

  private constructor(pitr: PitrSetting, bases: readonly string[]) {
    this.pitr = pitr;
    this.bases = bases;
  }

  /** In the table `ledger`, in a tablespace of its own, are 40 rows in the end. */
  static async start(): Promise<ChainSetting> {
    postgres17();
    const pitr = await PitrSetting.start({ summarize_wal: "on" }, 17);
    const { wal } = pitr;
    const write = (n: number) =>
      wal.query(`INSERT INTO ledger SELECT i, repeat('x', 500) FROM generate_series(${n}, ${n + 9}) i`);
    // The sign means something to pg_combinebackup.
    const folder = await pitr.tablespaceFolder("apart=here");
    await wal.query(`CREATE TABLESPACE apart LOCATION '${folder}'`);
    await wal.query("CREATE TABLE ledger (n int PRIMARY KEY, text text) TABLESPACE apart");
    await wal.query(
      "CREATE TABLE large AS SELECT i, repeat('y', 900) AS text FROM generate_series(1, 20000) i",
    );
    // Hint bits would change every page of it later on.
    await wal.query("VACUUM (FREEZE) large");
    await write(1);
    const full = await pitr.base();
    await write(11);
    const first = await pitr.base({ incremental: true });
    await wal.query("UPDATE large SET text = 'changed' WHERE i = 7");
    await write(21);
    const second = await pitr.base({ "full-every": "7d" });
    await write(31);
    const [row] = await wal.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
    await wal.untilArchived(row?.name ?? "");
    return new ChainSetting(pitr, [full, first, second]);
  }

  async stop(): Promise<void> {
    await this.pitr.stop();
  }

  /** Rows of the ledger in a restored cluster, which is stopped then. */
  async rowsOf({ port, directory }: { port: number; directory: string }): Promise<number | undefined> {
    const found = await queryPort<{ n: number }>(port, "SELECT count(*)::int AS n FROM ledger");
    await stopCluster(directory);
    return found[0]?.n;
  }

  /** Where a restore of the chain into a folder has come to. */
  readonly moments = {
    unpacking: (to: string) => exists(`${to}.chain/${this.bases[1]}`),
    combining: (to: string) => exists(`${to}/base`),
    combined: async (to: string) =>
      (await exists(`${to}/global`)) && !(await exists(`${to}.chain/${this.bases[0]}`)),
  };

  /** Kills a restore there, with SIGKILL, and lets it go on or takes it back; then looks at what there is. */
  async killRestore(moment: keyof ChainSetting["moments"], goOn: "resume" | "rollback"): Promise<void> {
    const { wal } = this.pitr;
    const options = { config: wal.config, cwd: wal.folder };
    const directory = this.pitr.newFolder();
    const args = ["pitr", "restore", "--latest", "--target-dir", directory, "--start", "--yes"];
    const killed = startOps(args, options);
    await until(() => this.moments[moment](directory), "the moment");
    killed.child.kill("SIGKILL");
    await killed.result;

    const ended = await ops(["runs", goOn, "last", "--yes"], options);

    expect(ended.exitCode, ended.stderr).toBe(0);
    const left = (await readdir(wal.folder)).filter((each) => each.startsWith(basename(directory)));
    if (goOn === "rollback") {
      expect(left).toEqual([]);
      return;
    }
    expect(left.some((each) => each.endsWith(".chain"))).toBe(false);
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(ended.stdout)?.[1]);
    expect(await this.rowsOf({ port, directory })).toBe(40);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
