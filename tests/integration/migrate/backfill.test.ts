import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { OperationContext } from "../../../src/run/context.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, operation, Project, until, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const backfills = operation("migrate.backfills");
const pause = operation("migrate.pause");
const goOn = operation("migrate.continue");

/** `n` counts how often a row was met. */
function counted(rows: number, key = "bigint GENERATED ALWAYS AS IDENTITY", values = "") {
  return {
    "1_users.up.sql": `CREATE TABLE users (id ${key} PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO users ${values === "" ? "(n) SELECT 0" : `(id) SELECT ${values}`} FROM generate_series(1, ${rows}) AS i;`,
    "1_users.down.sql": "DROP TABLE users;",
  };
}

function filled(header: string, statement = "UPDATE users SET n = n + 1") {
  return {
    "2_fill.up.sql": `-- ops: batch table=users key=id ${header}
${statement} WHERE id BETWEEN :batch_start AND :batch_end;`,
    "2_fill.down.sql": "UPDATE users SET n = 0;",
  };
}

const counts = (project: Project) =>
  project.query("SELECT n, count(*)::int AS rows FROM users GROUP BY n ORDER BY n");
const places = (project: Project) =>
  project.query<{ rows: number; batches: number; state: string; size: number }>(
    "SELECT rows_done::int AS rows, batches, state, size FROM ops.migration_batch",
  );

describe("a backfill", () => {
  test.each([
    ["bigint GENERATED ALWAYS AS IDENTITY", ""],
    ["smallint", "i - 500"],
    ["uuid", "gen_random_uuid()"],
    ["text", "chr(96 + i % 26) || '''é' || i"],
    ['varchar(40) COLLATE "C"', "'K' || i"],
    ["timestamptz", "timestamptz '2026-01-01' + i * interval '1.000001 s'"],
    ["date", "date '2026-01-01' + i"],
  ])("goes through every row once where the key is %s", async (key, values) => {
    await using project = await Project.create(cluster, {
      ...counted(1000, key, values),
      ...filled("size=70 pause=0ms target=1ms"),
    });

    const { output, changes } = await perform(up, project.context(), {});

    expect(changes[1]?.summary).toBe("apply 2_fill (in batches of about 70 rows of users)");
    expect(output).toMatchObject({ applied: [{ version: "1" }, { version: "2" }], current: "2" });
    expect(await counts(project)).toEqual([{ n: 1, rows: 1000 }]);
    expect(await places(project)).toMatchObject([{ rows: 1000, state: "done" }]);
  });

  test("goes through a key that is not unique, and through partitions", async () => {
    await using project = await Project.create(cluster, {
      "1_users.up.sql": `CREATE TABLE users (id int NOT NULL, n int NOT NULL DEFAULT 0) PARTITION BY HASH (n);
CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE INDEX ON users (id);
INSERT INTO users SELECT i / 7 FROM generate_series(1, 500) AS i;`,
      ...filled("size=10 pause=0ms"),
    });

    await perform(up, project.context(), {});

    expect(await counts(project)).toEqual([{ n: 1, rows: 500 }]);
  });

  test("deletes, and copies into another table", async () => {
    await using project = await Project.create(cluster, {
      ...counted(500),
      "2_copy.up.sql": `-- ops: batch table=users key=id size=60 pause=0ms
INSERT INTO archive SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end AND id % 2 = 0;`,
      "1_archive.up.sql": "",
      "3_clean.up.sql": `-- ops: batch table=users key=id size=60 pause=0ms
DELETE FROM users WHERE id BETWEEN :batch_start AND :batch_end AND id % 2 = 0;`,
    });
    await project.remove("1_archive.up.sql");
    await project.query("CREATE TABLE archive (id bigint)");

    await perform(up, project.context(), {});

    expect(
      await project.query("SELECT count(*)::int AS n, count(DISTINCT id)::int AS d FROM archive"),
    ).toEqual([{ n: 250, d: 250 }]);
    expect(await counts(project)).toEqual([{ n: 0, rows: 250 }]);
  });

  test.each([
    ["timestamptz", "timestamptz '2026-03-28 20:00+00' + i * interval '7 min 0.000001 s'"],
    [
      "timestamptz",
      "CASE i WHEN 1 THEN '-infinity' ELSE timestamptz '0044-03-15 12:00+00 BC' + i * interval '1 h' END",
    ],
    ["date", "date '2026-01-01' + i"],
  ])("runs its statement in the session's own time zone and date style: %s, %s", async (key, values) => {
    await using project = await Project.create(cluster, counted(300, key, values));
    await perform(up, project.context(), {});
    await project.query("ALTER TABLE users ADD day date, ADD zone text, ADD style text");
    await project.query(
      `ALTER DATABASE ${project.databaseName} SET TimeZone = 'Europe/Berlin';
       ALTER DATABASE ${project.databaseName} SET DateStyle = 'SQL, DMY'`,
    );
    await project.write(
      filled(
        "size=30 pause=0ms",
        "UPDATE users SET n = n + 1, day = id::date, zone = current_setting('TimeZone'), style = current_setting('DateStyle')",
      ),
    );

    await perform(up, project.context(), {});

    expect(
      await project.query(
        "SELECT n, zone, style, bool_and(day = id::date) AS same, count(*)::int AS rows FROM users GROUP BY 1, 2, 3",
      ),
    ).toEqual([{ n: 1, zone: "Europe/Berlin", style: "SQL, DMY", same: true, rows: 300 }]);
  });

  test("of an empty table is done at once", async () => {
    await using project = await Project.create(cluster, { ...counted(0), ...filled("size=10") });
    expect((await perform(up, project.context(), {})).output).toMatchObject({ current: "2" });
    expect(await places(project)).toMatchObject([{ rows: 0, batches: 0, state: "done" }]);
  });

  test("meets rows that come with higher keys meanwhile, and leaves alone those that go", async () => {
    await using project = await Project.create(cluster, {
      ...counted(4000),
      ...filled("size=20 pause=5ms target=1ms"),
    });
    await perform(up, project.context(), { to: "1" });
    const writer = await project.connect();
    const running = perform(up, project.context(), {});
    await until(async () => ((await places(project).catch(() => []))[0]?.batches ?? 0) > 0);
    for (let index = 0; index < 100; index += 1) {
      await writer.query("INSERT INTO users (n) VALUES (0)");
      await writer.query("DELETE FROM users WHERE id = $1", [4000 - index]);
    }
    expect(await places(project)).toMatchObject([{ state: "running" }]);
    await running;
    expect(await counts(project)).toEqual([{ n: 1, rows: 4000 }]);
  });

  test("adapts its size to the time target", async () => {
    await using project = await Project.create(cluster, {
      ...counted(1000),
      "2_fill.up.sql": `-- ops: batch table=users key=id size=400 pause=0ms target=40ms
UPDATE users SET n = n + 1 WHERE id BETWEEN :batch_start AND :batch_end AND pg_sleep(0.001) IS NOT NULL;`,
    });
    await perform(up, project.context(), {});
    const [place] = await places(project);
    expect(place?.size).toBeLessThan(100);
    expect(await counts(project)).toEqual([{ n: 1, rows: 1000 }]);
  });

  test("is proven by its verify file before it counts as applied", async () => {
    await using project = await Project.create(cluster, {
      ...counted(200),
      ...filled("size=50 pause=0ms", "UPDATE users SET n = n + 1"),
      "2_fill.verify.sql": "SELECT id FROM users WHERE n <> 1 OR id = 7;",
    });
    await expect(perform(up, project.context(), {})).rejects.toMatchObject({ code: "E_MIGRATION_VERIFY" });
    expect((await project.state()).applied).toEqual(["1"]);

    await project.write({ "2_fill.verify.sql": "SELECT id FROM users WHERE n <> 1;" });
    await perform(up, project.context(), {});

    expect((await project.state()).applied).toEqual(["1", "2"]);
    expect(await counts(project)).toEqual([{ n: 1, rows: 200 }]);
  });
});

describe("an interrupted backfill", () => {
  /** Runs until some batches are done, then asks to stop. */
  async function interrupted(project: Project) {
    const context = project.context();
    const running = perform(up, context, {}).catch((error: unknown) => error);
    await until(async () => ((await places(project).catch(() => []))[0]?.batches ?? 0) > 2);
    context.requestStop();
    expect(await running).toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });
  }
  const slow = { ...counted(2000), ...filled("size=20 pause=20ms target=1ms") };
  const fast = filled("size=500 pause=0ms");

  test("ends after a batch and goes on there, at another pace if the file says so", async () => {
    await using project = await Project.create(cluster, slow);
    await interrupted(project);
    const [place] = await places(project);
    expect(await counts(project)).toEqual([
      { n: 0, rows: 2000 - (place?.rows ?? 0) },
      { n: 1, rows: place?.rows },
    ]);
    const { output } = await perform(backfills, project.context(), {});
    expect(output).toMatchObject({ backfills: [{ version: "2", state: "stopped", rowsDone: place?.rows }] });

    await project.write(fast);
    const { report } = await perform(up, project.context(), {});

    expect(report.lines[0]).toBe(`2_fill.up.sql: goes on after ${place?.rows} rows`);
    expect(await counts(project)).toEqual([{ n: 1, rows: 2000 }]);
  });

  test("does not go on with another statement", async () => {
    await using project = await Project.create(cluster, slow);
    await interrupted(project);
    await project.write(filled("size=20", "UPDATE users SET n = n + 2"));
    await expect(perform(up, project.context(), {})).rejects.toMatchObject({ code: "E_BACKFILL_CHANGED" });
  });

  test("is taken back by its way down, and begins anew afterwards", async () => {
    await using project = await Project.create(cluster, slow);
    const context = project.context();
    const input = up.input.parse({});
    const before = await up.observe(context, input);
    await interrupted(project);

    expect(await up.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });

    expect(await project.state()).toEqual({ applied: [], tables: [] });
    expect(await places(project)).toEqual([]);
    await project.write(fast);
    await perform(up, project.context(), {});
    expect(await counts(project)).toEqual([{ n: 1, rows: 2000 }]);
  });

  test("without a way down is left for a person, with its numbers", async () => {
    await using project = await Project.create(cluster, slow);
    await project.remove("2_fill.down.sql");
    const context = project.context();
    const input = up.input.parse({});
    const before = await up.observe(context, input);
    await interrupted(project);

    expect(await up.undo?.(context, input, before, new RecordingReport())).toMatchObject({
      undone: false,
      note: expect.stringMatching(
        /2_fill is backfilled by half: \d+ of about \d+ rows are done, and .* is missing/,
      ),
    });
  });

  test("is of the run that worked on it last: that one is resumed or taken back", async () => {
    await using project = await Project.create(cluster, slow);
    await interrupted(project);
    const second = project.context("run-2");
    const input = up.input.parse({});
    const before = await up.observe(second, input);
    const [first] = await places(project);
    const running = perform(up, second, {}).catch((error: unknown) => error);
    await until(async () => ((await places(project))[0]?.batches ?? 0) > (first?.batches ?? 0));
    second.requestStop();
    expect(await running).toMatchObject({ code: "E_INTERRUPTED" });

    expect((await perform(backfills, project.context(), {})).output).toMatchObject({
      backfills: [{ version: "2", runId: "run-2" }],
    });
    expect(await up.undo?.(project.context(), input, before, new RecordingReport())).toMatchObject({
      undone: false,
      note: expect.stringContaining("another run (run-2) worked on it last"),
    });
    expect(await up.undo?.(second, input, before, new RecordingReport())).toEqual({ undone: true });
    expect(await counts(project)).toEqual([{ n: 0, rows: 2000 }]);
  });

  test("goes on under another spelling of its version", async () => {
    await using project = await Project.create(cluster, slow);
    await interrupted(project);
    for (const way of ["up", "down"] as const) await project.remove(`2_fill.${way}.sql`);
    await project.write({ "0002_fill.up.sql": fast["2_fill.up.sql"] });
    await perform(up, project.context(), {});
    expect(await counts(project)).toEqual([{ n: 1, rows: 2000 }]);
    expect(await project.query("SELECT version, state FROM ops.migration_batch")).toEqual([
      { version: "0002", state: "done" },
    ]);
  });

  test("in the middle of a redo goes on there, without a second way back", async () => {
    await using project = await Project.create(cluster, { ...counted(2000), ...fast });
    await project.write({ "2_fill.down.sql": "UPDATE users SET n = n - 1;" });
    await perform(up, project.context(), {});
    await project.write({ "2_fill.up.sql": slow["2_fill.up.sql"] });
    const redo = operation("migrate.redo");
    const context = project.context("run-2");
    const input = redo.input.parse({});
    const before = await redo.observe(context, input);
    const report = new RecordingReport();
    const running = Promise.resolve(redo.apply(context, input, before, report)).catch(
      (error: unknown) => error,
    );
    await until(async () => {
      const [place] = await places(project);
      return place?.state === "running" && place.batches > 2;
    });
    context.requestStop();
    expect(await running).toMatchObject({ code: "E_INTERRUPTED" });
    expect((await project.state()).applied).toEqual(["1"]);

    // Another redo would be one of what is below it.
    await expect(perform(redo, project.context("run-3"), {})).rejects.toMatchObject({ code: "E_MIGRATIONS" });
    await redo.apply(project.context("run-2"), input, before, new RecordingReport(report.last));

    expect(await counts(project)).toEqual([{ n: 1, rows: 2000 }]);
    expect((await project.state()).applied).toEqual(["1", "2"]);
  });

  test("keeps what is below it from being taken back", async () => {
    await using project = await Project.create(cluster, slow);
    await interrupted(project);
    await expect(perform(down, project.context(), {})).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      hint: "finish it: ops migrate up",
    });
  });
});

describe("a pause", () => {
  test("ends the run after a batch as one to resume, and lasts until it is taken away", async () => {
    await using project = await Project.create(cluster, {
      ...counted(2000),
      ...filled("size=20 pause=20ms target=1ms"),
    });
    const running = perform(up, project.context(), {}).catch((error: unknown) => error);
    await until(async () => ((await places(project).catch(() => []))[0]?.batches ?? 0) > 2);

    const paused = await perform(pause, project.context("run-2"), {});

    expect(paused.output).toMatchObject({ version: "2", state: "paused" });
    expect(await running).toMatchObject({
      code: "E_INTERRUPTED",
      message: expect.stringMatching(
        /2_fill is paused after \d+ rows; let it go on with: ops migrate continue 2/,
      ),
    });
    await expect(perform(up, project.context(), {})).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    const continued = await perform(goOn, project.context("run-3"), { version: "2" });
    expect(continued.output).toMatchObject({ state: "running", next: "ops runs resume run-1" });
    await project.write(filled("size=500 pause=0ms"));
    await perform(up, project.context(), {});
    expect(await counts(project)).toEqual([{ n: 1, rows: 2000 }]);
  });

  test("of nothing is refused", async () => {
    await using project = await Project.create(cluster, counted(1));
    await expect(perform(pause, project.context(), {})).rejects.toMatchObject({ code: "E_BACKFILL_UNKNOWN" });
  });
});

describe("others at work", () => {
  test("a row lock makes batches smaller and wait, and the backfill says who", async () => {
    await using project = await Project.create(cluster, {
      ...counted(300),
      ...filled("size=100 pause=0ms"),
    });
    await perform(up, project.context(), { to: "1" });
    const blocker = await project.connect("blocker");
    await blocker.query("BEGIN; UPDATE users SET n = n WHERE id = 150");
    const report = new RecordingReport();
    const running = perform(up, project.context(), { "lock-timeout": "150ms" }, report);
    // Once it waits; it also fails here where the run ended before.
    await Promise.race([running, until(() => report.lines.some((each) => each.includes("attempt 1 of 5")))]);
    await blocker.query("COMMIT");
    await running;

    expect(report.lines.join("\n")).toMatch(/lock timeout.*attempt 1 of 5.*"blocker"/);
    expect(await counts(project)).toEqual([{ n: 1, rows: 300 }]);
  });

  test("a batch that runs into its statement_timeout is tried with fewer rows", async () => {
    await using project = await Project.create(cluster, {
      ...counted(100),
      "2_fill.up.sql": `-- ops: batch table=users key=id size=100 pause=0ms
-- ops: statement_timeout=150ms
UPDATE users SET n = n + 1 WHERE id BETWEEN :batch_start AND :batch_end AND pg_sleep(0.002) IS NOT NULL;`,
    });
    const { report } = await perform(up, project.context(), {});
    expect(report.lines[0]).toBe("2_fill.up.sql: a batch ran into its statement_timeout; again with 50 rows");
    expect(await counts(project)).toEqual([{ n: 1, rows: 100 }]);
  });

  test("two processes that both believe to hold the lock still meet each row once", async () => {
    await using project = await Project.create(cluster, {
      ...counted(3000),
      ...filled("size=30 pause=0ms target=1ms"),
    });
    await perform(up, project.context(), { to: "1" });
    const blind = (context: OperationContext) => perform(up, context, {}).catch((error: unknown) => error);
    const first = blind(project.context("run-1"));
    await until(async () => ((await places(project).catch(() => []))[0]?.batches ?? 0) > 0);
    // The lock's own connection, which is idle in its transaction: the second process gets it.
    await project.query(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    await Promise.all([first, blind(project.context("run-2"))]);
    await perform(up, project.context("run-3"), {});
    expect(await counts(project)).toEqual([{ n: 1, rows: 3000 }]);
  });
});

describe("what does not fit is refused before anything runs", () => {
  test.each([
    ["table=nobody key=id", /there is no table nobody/],
    ["table=users key=nothing", /has no column nothing/],
    ["table=users key=n", /n has no btree index/],
    ["table=users key=maybe", /may be NULL/],
    ["table=users key=price", /of type numeric/],
  ])("%s", async (settings, message) => {
    await using project = await Project.create(cluster, {});
    await project.query(
      "CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL, maybe int UNIQUE, price numeric NOT NULL UNIQUE)",
    );
    const { table, key } = /table=(?<table>\w+) key=(?<key>\w+)/.exec(settings)?.groups ?? {};
    await project.write({
      "1_fill.up.sql":
        `-- ops: batch ${settings}\nUPDATE ${table} SET n = 1 WHERE ${key} BETWEEN :batch_start AND :batch_end;`.replace(
          "SET n = 1 WHERE n ",
          "SET maybe = 1 WHERE n ",
        ),
    });
    await expect(up.observe(project.context(), up.input.parse({}))).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      message: expect.stringMatching(message),
    });
  });

  test.each([
    ["o.user_id = users.id AND o.id BETWEEN :batch_start AND :batch_end", /o\.id is not the key id of users/],
    [
      "o.user_id = users.id AND id BETWEEN :batch_start AND :batch_end",
      /^2_fill\.up\.sql:2:\d+: id could be/,
    ],
    ["users.id BETWEEN :batch_start AND :batch_end OR n >= 0", /must compare the key id/],
  ])("bounds that would leave rows out or meet them again: %s", async (where, message) => {
    await using project = await Project.create(cluster, {
      "1_users.up.sql": `CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE orders (id int PRIMARY KEY, user_id int);`,
      "2_fill.up.sql": `-- ops: batch table=users key=id\nUPDATE users SET n = 1 FROM orders o WHERE ${where};`,
    });
    await expect(up.observe(project.context(), up.input.parse({}))).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      message: expect.stringMatching(message),
    });
  });

  test("an error in the middle has its place, its keys, and keeps the batches before it", async () => {
    await using project = await Project.create(cluster, {
      ...counted(100),
      "2_fill.up.sql": `-- ops: batch table=users key=id size=30 pause=0ms target=1ms
UPDATE users SET n = n + 1 / (id - 75)::int
WHERE id BETWEEN :batch_start AND :batch_end AND wrong IS NULL;`,
    });
    await expect(perform(up, project.context(), {})).rejects.toMatchObject({
      message: expect.stringContaining('2_fill.up.sql:3:50: column "wrong" does not exist'),
    });
    await project.write({
      "2_fill.up.sql": `-- ops: batch table=users key=id size=30 pause=0ms target=1ms
UPDATE users SET n = 1 / (id - 75)::int WHERE id BETWEEN :batch_start AND :batch_end;`,
    });
    await project.query("DELETE FROM ops.migration_batch");
    await expect(perform(up, project.context(), {})).rejects.toMatchObject({
      code: "E_MIGRATION_FAILED",
      message: expect.stringMatching(
        /division by zero.*batch of keys \d+ to \d+ failed; the batches before it are kept/s,
      ),
    });
    expect((await places(project))[0]?.rows).toBeGreaterThan(0);
  });
});

test("a way down can run in batches too, and forgets the way up with its last one", async () => {
  await using project = await Project.create(cluster, {
    ...counted(500),
    ...filled("size=100 pause=0ms"),
    "2_fill.down.sql": `-- ops: batch table=users key=id size=100 pause=0ms
UPDATE users SET n = n - 1 WHERE id BETWEEN :batch_start AND :batch_end;`,
  });
  await perform(up, project.context(), {});
  const { changes } = await perform(down, project.context(), {});
  expect(changes[0]?.summary).toBe("take back 2_fill (in batches of about 100 rows of users)");
  expect(await counts(project)).toEqual([{ n: 0, rows: 500 }]);
  expect(await places(project)).toEqual([]);
  await perform(up, project.context(), {});
  expect(await counts(project)).toEqual([{ n: 1, rows: 500 }]);
});
