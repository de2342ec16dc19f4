import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, Project, shop, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const runner = fileURLToPath(new URL("runner.ts", import.meta.url));

function start(project: Project, name: string, input: object = {}): ChildProcess {
  return spawn(process.execPath, [runner, name, project.url, project.folder, JSON.stringify(input)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  child.kill("SIGKILL");
  await exit;
}

/** Each file notes that it ran; a file that ran twice has two notes. */
const noted = {
  "1_notes.up.sql": "CREATE TABLE note (version int);\nINSERT INTO note VALUES (1);\nSELECT pg_sleep(0.05);",
  "1_notes.down.sql": "SELECT pg_sleep(0.05);\nDROP TABLE note;",
  ...Object.fromEntries(
    [2, 3, 4, 5].flatMap((version) => [
      [`${version}_note.up.sql`, `INSERT INTO note VALUES (${version});\nSELECT pg_sleep(0.05);`],
      [`${version}_note.down.sql`, `DELETE FROM note WHERE version = ${version};\nSELECT pg_sleep(0.05);`],
    ]),
  ),
};

describe("SIGKILL", () => {
  test("in the middle of a file leaves neither its changes nor its record, and undo takes back the rest", async () => {
    await using project = await Project.create(cluster, {
      ...shop,
      "0002_status.up.sql": "CREATE TABLE status (name text);\nSELECT pg_sleep(30);",
    });
    const context = project.context("run-1");
    const input = up.input.parse({ "lock-wait": "20s" });
    const before = await up.observe(context, input);
    const child = start(project, "migrate.up");
    try {
      await until(async () => (await sleeping(project)) === 1);
    } finally {
      await kill(child);
    }
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });

    // The server notices within seconds that its client is gone, long before the thirty of the statement.
    await until(async () => (await sleeping(project)) === 0);
    const undone = await up.undo?.(context, input, before, new RecordingReport());
    expect(undone).toEqual({ undone: true });
    expect(await project.state()).toEqual({ applied: [], tables: [] });
  });

  test("in the last moment of a file does not let the server commit it beside the next runner", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(1);",
      "1_a.down.sql": "DROP TABLE a;",
    });
    const context = project.context("run-1");
    const input = up.input.parse({});
    const before = await up.observe(context, input);
    const child = start(project, "migrate.up");
    try {
      await until(async () => (await sleeping(project)) === 1);
    } finally {
      await kill(child);
    }
    expect(await up.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });
    // The server would notice the loss after two seconds, and the file is done after one.
    await until(async () => (await sleeping(project)) === 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await project.state()).toEqual({ applied: [], tables: [] });
  });

  test.each([
    ["1_a.up.sql", "1", "pending"],
    ["R__a.sql", "R__a", "seen"],
  ])("whose process recorded %s after all is not the file's fault", async (file, version, before) => {
    await using project = await Project.create(cluster, file.startsWith("R") ? { "V1__z.sql": "" } : {});
    await project.write({ [file]: "SELECT 1;" });
    if (before === "seen") {
      await perform(up, project.context(), {});
      await project.write({ [file]: "SELECT 2;" });
    } else {
      await perform(up, project.context(), {});
      await project.query("DELETE FROM ops.migration");
    }
    // What another process does in the meantime, with its own text of the file.
    const recorded = `INSERT INTO ops.migration (version, name, checksum, applied_by, duration_ms)
      VALUES ('${version}', 'a', 'sha256:theirs', 'bob', 1) ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum`;
    await project.write({ [file]: "CREATE TABLE twice (id int);\nSELECT pg_sleep(1);" });
    const running = perform(up, project.context("run-2"), {}).catch((each) => errorRecord(each));
    await until(async () => (await sleeping(project)) === 1);
    await project.query(recorded);
    expect(await running).toMatchObject({
      code: "E_MIGRATION_LOCK_LOST",
      hint: expect.stringMatching(/^run it again/),
    });
    expect((await project.state()).tables).toEqual([]);
    expect(await project.query(`SELECT checksum FROM ops.migration WHERE version = '${version}'`)).toEqual([
      { checksum: "sha256:theirs" },
    ]);
  });

  test("at any moment of a run leaves one that apply finishes, each file once, or undo takes back", async () => {
    for (const [index, delay] of [0, 40, 80, 120, 160, 200, 240, 280, 320, 400].entries()) {
      await using project = await Project.create(cluster, noted);
      const context = project.context("run-1");
      const input = up.input.parse({});
      const before = await up.observe(context, input);
      const child = start(project, "migrate.up");
      try {
        await until(async () => child.exitCode !== null || (await connected(project)));
        await new Promise((resolve) => setTimeout(resolve, delay));
      } finally {
        await kill(child);
      }
      if (index % 2 === 0) {
        const output = await up.apply(context, input, before, new RecordingReport());
        expect(output).toMatchObject({ current: "5" });
        expect((output as { applied: { version: string }[] }).applied.map((each) => each.version)).toEqual([
          "1",
          "2",
          "3",
          "4",
          "5",
        ]);
        expect(await project.query("SELECT version FROM note ORDER BY 1")).toEqual(
          [1, 2, 3, 4, 5].map((version) => ({ version })),
        );
      } else {
        expect(await up.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });
        expect(await project.state()).toEqual({ applied: [], tables: [] });
      }
    }
  });

  test("at any moment of a way back leaves one that apply finishes or undo takes back", async () => {
    for (const [index, delay] of [0, 60, 120, 180, 240, 300].entries()) {
      await using project = await Project.create(cluster, noted);
      await perform(up, project.context("run-0"), {});
      const context = project.context("run-1");
      const input = down.input.parse({ to: "0" });
      const before = await down.observe(context, input);
      const child = start(project, "migrate.down", { to: "0" });
      try {
        await until(async () => child.exitCode !== null || (await connected(project)));
        await new Promise((resolve) => setTimeout(resolve, delay));
      } finally {
        await kill(child);
      }
      if (index % 2 === 0) {
        await down.apply(context, input, before, new RecordingReport());
        expect(await project.state()).toEqual({ applied: [], tables: [] });
      } else {
        expect(await down.undo?.(context, input, before, new RecordingReport())).toMatchObject({
          undone: true,
        });
        expect(await project.state()).toEqual({ applied: ["1", "2", "3", "4", "5"], tables: ["note"] });
        expect(await project.query("SELECT version FROM note ORDER BY 1")).toHaveLength(5);
      }
    }
  });
});

test("a connection that the server ends is told as such, and apply finishes afterwards", async () => {
  await using project = await Project.create(cluster, {
    ...shop,
    "0002_status.up.sql": "CREATE TABLE status (name text);\nSELECT pg_sleep(1);",
  });
  const context = project.context();
  const input = up.input.parse({});
  const before = await up.observe(context, input);
  const running = up.apply(context, input, before, new RecordingReport());
  const failed = expect(running).rejects.toMatchObject({ code: "E_CONNECTION_LOST", retryable: true });
  await until(async () => (await sleeping(project)) === 1);
  await project.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  await failed;
  await up.apply(context, input, before, new RecordingReport());
  expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
});

describe("Ctrl-C", () => {
  test("once: the file under way is finished, the next one not begun", async () => {
    await using project = await Project.create(cluster, {
      ...shop,
      "0001_orders.up.sql": "CREATE TABLE orders (id int);\nSELECT pg_sleep(0.5);",
    });
    const context = project.context();
    const running = perform(up, context, {});
    const failed = expect(running).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    await until(async () => (await sleeping(project)) === 1);
    context.requestStop();
    await failed;
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });
  });

  test("twice: the statement is cancelled on the server and rolled back", async () => {
    await using project = await Project.create(cluster, {
      ...shop,
      "0001_orders.up.sql": "CREATE TABLE orders (id int);\nSELECT pg_sleep(30);",
    });
    const abort = new AbortController();
    const running = perform(up, { ...project.context(), signal: abort.signal }, {});
    const failed = expect(running).rejects.toThrow("now");
    await until(async () => (await sleeping(project)) === 1);
    abort.abort(new Error("now"));
    await failed;
    await until(async () => (await sleeping(project)) === 0);
    expect(await project.state()).toEqual({ applied: [], tables: [] });
  });
});

async function sleeping(project: Project): Promise<number> {
  return (
    await project.query(
      "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
    )
  ).length;
}

async function connected(project: Project): Promise<boolean> {
  const rows = await project.query(
    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ops migrate run-1' AND datname = current_database()",
  );
  return rows.length > 0;
}
