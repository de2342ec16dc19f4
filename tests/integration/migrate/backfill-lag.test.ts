import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serverBinaries } from "../../../src/postgres/binaries.ts";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, until, up } from "./project.ts";

let primary: Cluster;
let standby: Cluster;
let folder: string;

beforeAll(async () => {
  primary = await startTestCluster({ max_wal_senders: "4", wal_receiver_status_interval: "1s" });
  folder = await mkdtemp(join(tmpdir(), "ops-sb-"));
  const directory = join(folder, "data");
  const user = await serverUser(directory);
  if (user.owner !== undefined) await chown(folder, user.owner.uid, user.owner.gid);
  const [program = "", ...args] = [
    ...user.prefix,
    join(await serverBinaries(), "pg_basebackup"),
    ...["--pgdata", directory, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"],
    ...["--dbname", `${primary.url()}?application_name=replica`],
  ];
  const copied = await runProgram(program, args, { cwd: "/" });
  expect(copied.exitCode, copied.stderr).toBe(0);
  standby = await startCluster({ directory, settings: { fsync: "off", wal_receiver_status_interval: "1s" } });
});

afterAll(async () => {
  await standby?.stop();
  await primary?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function onStandby(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: standby.url() });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

describe("a backfill with max-lag", () => {
  test("waits while a real standby does not replay, says for whom, and goes on when it does", async () => {
    await using project = await Project.create(primary, {
      "1_users.up.sql": `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO users (n) SELECT 0 FROM generate_series(1, 5000);`,
      "2_fill.up.sql": `-- ops: batch table=users key=id size=50 pause=10ms target=1ms max-lag=300ms
UPDATE users SET n = n + 1 WHERE id BETWEEN :batch_start AND :batch_end;`,
    });
    await perform(up, project.context(), { to: "1" });
    const done = async () => {
      const rows = await project.query<{ batches: number }>("SELECT batches FROM ops.migration_batch");
      return rows[0]?.batches ?? 0;
    };
    const running = perform(up, project.context(), {});
    await until(async () => (await done()) > 5);

    await onStandby("SELECT pg_wal_replay_pause()");
    try {
      let last = -1;
      await until(async () => {
        const before = last;
        await new Promise((resolve) => setTimeout(resolve, 700));
        last = await done();
        return last === before;
      });
      expect(await project.query("SELECT count(*)::int AS n FROM users WHERE n = 0")).not.toEqual([{ n: 0 }]);
    } finally {
      await onStandby("SELECT pg_wal_replay_resume()");
    }

    const { report } = await running;
    expect(report.lines.join("\n")).toMatch(
      /2_fill\.up\.sql: waits for standby replica, which is \S+ behind \(max-lag 300ms\)/,
    );
    expect(await project.query("SELECT n, count(*)::int AS rows FROM users GROUP BY n")).toEqual([
      { n: 1, rows: 5000 },
    ]);
  });
});
