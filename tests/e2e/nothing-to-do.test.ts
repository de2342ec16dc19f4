import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Cluster } from "../../src/postgres/cluster.ts";
import { type OpsResult, ops, projectRoot } from "../support/ops.ts";
import { startTestCluster } from "../support/postgres.ts";

describe("a command that finds nothing to do", () => {
  let cluster: Cluster;
  let folder: string;
  let databases = 0;

  beforeAll(async () => {
    cluster = await startTestCluster();
  });

  afterAll(() => cluster.stop());

  beforeEach(async () => {
    databases += 1;
    const client = new pg.Client({ connectionString: cluster.url() });
    await client.connect();
    await client.query(`CREATE DATABASE nothing${databases}`);
    await client.end();
    folder = await mkdtemp(join(tmpdir(), "ops-nothing-"));
    await mkdir(join(folder, "migrations"));
    await migration("0001_users", "CREATE TABLE users (id int);");
    await migration("0002_orders", "CREATE TABLE orders (id int);");
    const url = cluster.url(`nothing${databases}`);
    await writeFile(join(folder, ".opsrc"), `databases:\n  main: { url: "${url}" }\n`);
    return () => rm(folder, { recursive: true, force: true });
  });

  const migration = (name: string, sql: string) =>
    writeFile(join(folder, "migrations", `${name}.up.sql`), `${sql}\n`);
  const run = (args: readonly string[], env: Record<string, string> = {}): Promise<OpsResult> =>
    ops(args, { cwd: folder, env });
  const runs = async (): Promise<unknown[]> =>
    JSON.parse((await run(["runs", "list", "--json"])).stdout).runs;

  it("answers without a run", async () => {
    await run(["migrate", "up"]);
    expect(await runs()).toHaveLength(1);

    const again = await run(["migrate", "up"]);

    expect(again).toMatchObject({
      exitCode: 0,
      stdout: "database main is at 0002, nothing to apply\n",
      stderr: "",
    });
    expect(await runs()).toHaveLength(1);
  });

  it("makes no journal on a machine that has none", async () => {
    await run(["migrate", "up"]);

    const elsewhere = join(folder, "elsewhere");
    const again = await run(["migrate", "up"], { OPS_STATE_DIR: elsewhere });

    expect(again.exitCode).toBe(0);
    await expect(rm(elsewhere, { recursive: true })).rejects.toThrow("ENOENT");
  });

  it("prints the document of a run, without one, with --json", async () => {
    await run(["migrate", "up"]);

    const { stdout } = await run(["migrate", "up", "--json"]);

    expect(JSON.parse(stdout)).toEqual({
      run: null,
      name: "migrate.up",
      environment: "default",
      status: "done",
      exitCode: 0,
      steps: [
        {
          id: "migrate-up",
          status: "done",
          changes: [],
          applied: false,
          output: { database: "main", applied: [], current: "0002", overridden: [] },
        },
      ],
    });
  });

  it("is a run where its events are asked for", async () => {
    await run(["migrate", "up"]);

    const { stdout } = await run(["migrate", "up", "--events"]);

    expect(stdout).toContain('"type":"run.done"');
    expect(await runs()).toHaveLength(2);
  });

  it("says what a policy lets through", async () => {
    await run(["migrate", "up"]);
    await rm(join(folder, "migrations", "0001_users.up.sql"));

    const again = await run(["migrate", "up", "--missing", "warn"]);

    expect(again.exitCode).toBe(0);
    expect(again.stderr).toBe("warning: 0001_users is applied but has no file\n");
    expect((await run(["migrate", "up"])).exitCode).toBe(2);
  });

  it("runs where there is something to do", async () => {
    await run(["migrate", "up"]);
    await migration("0003_items", "CREATE TABLE items (id int);");

    const more = await run(["migrate", "up"]);

    expect(more).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("applied 0003_items") });
    expect(await runs()).toHaveLength(2);
  });

  it("tells of a run that was killed before it could record its end", async () => {
    const killer = join(projectRoot, "tests", "support", "kill-at-entry.mjs");
    // run.created, step.started, step.observed, step.applying; then the effect, and step.done, which is not written.
    const killed = await run(["migrate", "up"], {
      NODE_OPTIONS: `--import=${killer}`,
      KILL_AT_ENTRY: "5",
      KILL_WHEN: "before",
    });
    expect(killed.signal).toBe("SIGKILL");

    const again = await run(["migrate", "up"]);

    expect(again).toMatchObject({ exitCode: 0, stdout: "database main is at 0002, nothing to apply\n" });
    expect(again.stderr).toMatch(/^! run \S+ \(migrate\.up\) stopped in the middle of database:main\n/);
  });
});
