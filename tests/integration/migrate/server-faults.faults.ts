import { execFileSync } from "node:child_process";
import { chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { perform } from "../../support/context.ts";
import { mixed, remains } from "../../support/mixed-migrations.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { PostgresProxy } from "../../support/postgres-proxy.ts";
import { Project, up } from "./project.ts";

let cluster: Cluster;
let undisturbed: object;

beforeAll(async () => {
  cluster = await startTestCluster();
  await using project = await Project.create(cluster, mixed);
  await perform(up, project.context(), {});
  undisturbed = await remains(project);
});

afterAll(() => cluster.stop());

/** `pg_ctl restart -m immediate`: no checkpoint, sessions cut off, recovery from the WAL. */
async function restartAtOnce(): Promise<void> {
  const { pid, port, directory } = cluster;
  process.kill(pid, "SIGQUIT");
  while (isAlive(pid)) await delay(10);
  const restarted = await startCluster({ directory, port, settings: { fsync: "off" } });
  cluster = { ...cluster, pid: restarted.pid };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("a server restarted at once, at any third request of a run, leaves what another run finishes", async () => {
  await using proxy = await PostgresProxy.start(cluster.port);
  let restarts = 0;
  for (let number = 3; ; number += 3) {
    await using project = await Project.create(cluster, mixed);
    let restarted = Promise.resolve();
    proxy.arm({ event: "request", number }, () => {
      restarted = restartAtOnce();
      return restarted;
    });
    const context = project.context("run-1", proxy.url(project.databaseName));
    const ended = await perform(up, context, {}).catch((error: unknown) => error);
    if (!proxy.fired) break;
    // The run hears of its end before the server is back.
    await restarted;
    restarts += 1;
    // A server that goes where the run only gives back its lock has nothing to spoil.
    if (ended instanceof Error) expect(ended).toMatchObject({ code: expect.stringMatching(/^E_/) });
    else expect(await remains(project), `request ${number}`).toEqual(undisturbed);
    await perform(up, project.context("run-2"), {});
    expect(await remains(project), `request ${number}`).toEqual(undisturbed);
  }
  expect(restarts).toBeGreaterThan(10);
});

/** Each needs more room than the one before: a table, then an index outside a transaction, then rows inside one. */
const growing = {
  "0001_tally.up.sql":
    "CREATE TABLE tally (file int, runs int);\nCREATE TABLE orders (id int) TABLESPACE small;",
  "0002_large.up.sql": `-- ops: transaction=none
INSERT INTO tally VALUES (2, 1);
CREATE TABLE large TABLESPACE small AS SELECT n, string_agg(md5(n || '-' || m), '' ORDER BY m) AS body
  FROM generate_series(1, 8000) AS n, generate_series(1, 30) AS m GROUP BY n;
UPDATE tally SET runs = runs + 1 WHERE file = 2;
CREATE INDEX CONCURRENTLY large_body ON large (body, n) TABLESPACE small;
UPDATE tally SET runs = runs + 1 WHERE file = 2;`,
  "0003_orders.up.sql": `INSERT INTO tally VALUES (3, 1);
INSERT INTO orders SELECT n FROM generate_series(1, 400000) AS n;`,
};

describe("a full disk in the server", () => {
  const size = 48;
  let disk: string;
  let ballast: string;
  let mounted: "mounted" | "not mounted" = "not mounted";
  let expected: object;

  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), "ops-full-"));
    ballast = join(disk, "ballast");
    // Needs root: a file system of its own is what makes a full disk real.
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}m`, "tmpfs", disk]);
    mounted = "mounted";
    const space = join(disk, "space");
    await mkdir(space);
    const { owner } = await serverUser(disk);
    if (owner !== undefined) for (const each of [disk, space]) await chown(each, owner.uid, owner.gid);
    await using project = await Project.create(cluster, growing);
    await project.query(`CREATE TABLESPACE small LOCATION '${space}'`);
    await perform(up, project.context(), {});
    expected = await remains(project);
  });

  afterAll(async () => {
    if (mounted === "mounted") execFileSync("umount", ["--lazy", disk]);
    await rm(disk, { recursive: true, force: true });
  });

  test.each([
    { what: "a table", room: 2, file: "0002_large.up.sql" },
    { what: "an index that is built concurrently", room: 13, file: "0002_large.up.sql" },
    { what: "rows in a transaction", room: 26, file: "0003_orders.up.sql" },
  ])(
    "that comes with $what fails the file in the server's words; with room again, another run finishes",
    async (each) => {
      await using project = await Project.create(cluster, growing);
      execFileSync("fallocate", ["-l", `${size - each.room}M`, ballast]);

      const failed = await perform(up, project.context(), {}).catch((error: unknown) => error);
      await rm(ballast);
      await perform(up, project.context("run-2"), {});

      expect(failed).toMatchObject({ message: expect.stringMatching(/No space left on device/) });
      expect(failed).toMatchObject({ message: expect.stringContaining(each.file) });
      expect(await remains(project)).toEqual(expected);
    },
  );
});
