import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { ops } from "../support/ops.ts";
import { startTestCluster } from "../support/postgres.ts";

const machines = 20;

test("twenty machines that run `migrate up` at the same moment all end well, and each file is applied once", async () => {
  const cluster = await startTestCluster();
  const folder = await mkdtemp(join(tmpdir(), "ops-at-once-"));
  try {
    await mkdir(join(folder, "migrations"));
    await writeFile(join(folder, ".opsrc"), `databases:\n  main: { url: "${cluster.url()}" }\n`);
    for (const version of [1, 2, 3]) {
      await writeFile(
        join(folder, "migrations", `${version}_t.up.sql`),
        `CREATE TABLE t${version} (); SELECT pg_sleep(0.1);`,
      );
    }

    const runners = await Promise.all(
      Array.from({ length: machines }, (_, each) =>
        ops(["migrate", "up"], { cwd: folder, env: { OPS_STATE_DIR: join(folder, `machine-${each}`) } }),
      ),
    );

    expect(runners.map(({ exitCode, stderr }) => [exitCode, exitCode === 0 ? "" : stderr])).toEqual(
      runners.map(() => [0, ""]),
    );
    const client = new pg.Client({ connectionString: cluster.url() });
    await client.connect();
    const { rows } = await client.query("SELECT version FROM ops.migration_log ORDER BY id");
    await client.end();
    expect(rows.map((each) => each.version)).toEqual(["1", "2", "3"]);
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
