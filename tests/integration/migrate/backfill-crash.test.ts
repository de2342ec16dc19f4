import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, until } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const runner = fileURLToPath(new URL("runner.ts", import.meta.url));
const rows = 200_000;
const kills = 12;

/** The file reads nothing that tells whether a row was met: only `n` counts it. */
const files = {
  "1_users.up.sql": `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL DEFAULT 0, seen int NOT NULL DEFAULT 0);
INSERT INTO users (n) SELECT 0 FROM generate_series(1, ${rows});`,
  "2_fill.up.sql": `-- ops: batch table=users key=id size=500 pause=25ms target=10ms
UPDATE users SET n = n + 1 WHERE id BETWEEN :batch_start AND :batch_end;`,
};

describe("SIGKILL at random moments of a backfill of 200,000 rows under concurrent writers", () => {
  test("leaves no row out and meets none twice", { timeout: 180_000 }, async () => {
    await using project = await Project.create(cluster, files);
    await run(start(project, { to: "1" }));
    const writers = new Writers();
    await writers.begin(project);
    let inTheMiddle = 0;
    try {
      for (let kill = 0; kill < kills; kill += 1) {
        const child = start(project);
        const before = await progress(project);
        // Node starts, then batches run: somewhere in the first of them, at another point each time.
        await until(async () => {
          const { batches, state } = await progress(project);
          return batches > before.batches || state === "done";
        });
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
        await kill9(child);
        const { state, rowsDone } = await progress(project);
        if (state === "running" && rowsDone > 0) inTheMiddle += 1;
      }
    } finally {
      await writers.end();
    }
    expect(inTheMiddle).toBeGreaterThanOrEqual(10);

    await run(start(project));

    expect(await project.query("SELECT n, count(*)::int AS rows FROM users GROUP BY n")).toEqual([
      { n: 1, rows: rows + writers.inserted },
    ]);
    expect(writers.updated).toBeGreaterThan(0);
    const place = await progress(project);
    expect(place).toMatchObject({ state: "done", rowsDone: rows + writers.inserted });
    expect(await project.query("SELECT version FROM ops.migration ORDER BY version")).toEqual([
      { version: "1" },
      { version: "2" },
    ]);
  });
});

/** An application that goes on inserting and updating rows of the table. */
class Writers {
  inserted = 0;
  updated = 0;
  private ended = false;
  private work: Promise<void> = Promise.resolve();

  async begin(project: Project): Promise<void> {
    const client = await project.connect("writer");
    this.work = (async () => {
      while (!this.ended) {
        await client.query("INSERT INTO users (n) VALUES (0)");
        this.inserted += 1;
        const id = 1 + Math.floor(Math.random() * rows);
        await client.query("UPDATE users SET seen = seen + 1 WHERE id = $1", [id]);
        this.updated += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.work;
  }
}

async function progress(project: Project) {
  const found = await project.query<{ batches: number; rowsDone: number; state: string }>(
    `SELECT batches, rows_done::int AS "rowsDone", state FROM ops.migration_batch`,
  );
  return found[0] ?? { batches: 0, rowsDone: 0, state: "none" };
}

function start(project: Project, input: object = {}): ChildProcess {
  return spawn(
    process.execPath,
    [runner, "migrate.up", project.url, project.folder, JSON.stringify({ "lock-wait": "30s", ...input })],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
}

async function run(child: ChildProcess): Promise<void> {
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
}

async function kill9(child: ChildProcess): Promise<void> {
  const exit = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  child.kill("SIGKILL");
  await exit;
}
