import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { PostgresProxy } from "../../support/postgres-proxy.ts";
import { Project, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const runner = fileURLToPath(new URL("runner.ts", import.meta.url));

function start(project: Project, url: string): ChildProcess {
  return spawn(process.execPath, [runner, "migrate.up", url, project.folder, "{}"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  child.kill("SIGKILL");
  await exit;
}

/** Whether a session sleeps in such a query, or waits for another one's rows. */
async function isWorking(project: Project, query: string): Promise<boolean> {
  const found = await project.query(
    `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE '%${query}%'
        AND (wait_event = 'PgSleep' OR wait_event_type = 'Lock')`,
  );
  return found.length > 0;
}

/** Every run of a file leaves a row. The quote makes the COMMIT a message of its own. */
const kinds = [
  ["versioned", { "V2__fill.sql": "INSERT INTO note VALUES ('new'); SELECT pg_sleep(0.4);" }],
  ["repeatable", { "R__fill.sql": "INSERT INTO note VALUES ('new'); SELECT pg_sleep(0.4);" }],
  [
    "statement by statement",
    {
      "V2__fill.sql": "-- ops: transaction=none\nINSERT INTO note SELECT 'new' FROM pg_sleep(0.4);",
    },
  ],
  [
    "batched",
    {
      "V2__fill.sql": `-- ops: batch table=one key=id
INSERT INTO note SELECT 'new' FROM one, pg_sleep(0.4) WHERE one.id BETWEEN :batch_start AND :batch_end;`,
    },
  ],
] as const;
const ground =
  "CREATE TABLE note (what text); CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1);";

describe.each(kinds)("the COMMIT of a killed runner of a %s migration", (kind, files) => {
  async function create(): Promise<Project> {
    const project = await Project.create(cluster, { ...files, "V1__note.sql": ground });
    // A repeatable one is there before, with another text: its record is an update then, which no key refuses.
    if ("R__fill.sql" in files) await project.write({ "R__fill.sql": "SELECT 1;" });
    await perform(up, project.context("run-0"), kind === "repeatable" ? {} : { to: "1" });
    await project.write(files);
    return project;
  }

  test("that comes to the server beside the next runner is held back by the fence", async () => {
    await using project = await create();
    await using proxy = await PostgresProxy.start(cluster.port);
    const held = proxy.holdBack((sql) => sql.includes("pg_try_advisory_xact_lock_shared"));
    const killed = start(project, proxy.url(project.databaseName));
    try {
      await Promise.race([held.reached, once(killed, "exit")]);
      expect(killed.exitCode).toBe(null);
    } finally {
      await kill(killed);
    }

    const next = perform(up, project.context("run-2"), { attempts: 50, "lock-timeout": "300ms" });
    await until(async () => await isWorking(project, "ops"));
    const answer = await held.release();
    await next;

    expect(answer).toMatch(/ops\.migration_lock_lost/);
    expect(await project.query("SELECT what FROM note")).toEqual([{ what: "new" }]);
    expect(await project.query("SELECT run_id FROM ops.migration WHERE version <> '1'")).toEqual([
      { run_id: "run-2" },
    ]);
  });
});

test("a COMMIT that passed the fence before its runner was killed is awaited by the next one", async () => {
  await using project = await Project.create(cluster, {
    "1_note.up.sql": `CREATE TABLE note (what text);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();`,
    "2_fill.up.sql": "INSERT INTO note VALUES ('new');",
  });
  await perform(up, project.context("run-0"), { to: "1" });
  const killed = start(project, project.url);
  try {
    await until(async () => await isWorking(project, "COMMIT"));
  } finally {
    await kill(killed);
  }

  await perform(up, project.context("run-2"), {});

  expect(await project.query("SELECT what FROM note")).toEqual([{ what: "new" }]);
  expect(await project.query("SELECT run_id FROM ops.migration WHERE version = '2'")).toEqual([
    { run_id: "run-1" },
  ]);
});
