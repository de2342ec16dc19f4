import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DatabaseTarget } from "../../../src/config/environment.ts";
import { extract } from "../../../src/pitr/extract.ts";
import { takeBack } from "../../../src/pitr/extract-work.ts";
import type { Mark } from "../../../src/pitr/marked-commit.ts";
import { prepareRowSession, readShape } from "../../../src/pitr/table-shape.ts";
import { type TakenOut, takeOut } from "../../../src/pitr/taken-out.ts";
import type { TriggerChoice } from "../../../src/pitr/trigger-choice.ts";
import { serverBinaries } from "../../../src/postgres/binaries.ts";
import { type Cluster, startCluster } from "../../../src/postgres/cluster.ts";
import { withConnection } from "../../../src/postgres/connection.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { RecordingReport, testContext } from "../../support/context.ts";

/** The live database, and beside it one that stands for the restored moment. */
let folder = "";
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-put-back-"));
  cluster = await startCluster({ directory: join(folder, "data"), settings: { fsync: "off" } });
  await live("CREATE DATABASE was");
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true, force: true });
});

async function asked(sql: string, database: string, user = "postgres"): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host: "127.0.0.1", port: cluster.port, user, database });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}
const live = (sql: string) => asked(sql, "postgres");
async function both(sql: string): Promise<void> {
  await asked(sql, "postgres");
  await asked(sql, "was");
}

function target(database: string, user = "postgres"): DatabaseTarget {
  const url = cluster.url(database).replace("postgres@", `${user}@`);
  return testContext({ databases: { main: { url } } }).environment.database("main");
}

interface Wish {
  readonly table: string;
  readonly user?: string;
  readonly key?: readonly string[];
  readonly where?: string;
  readonly triggers?: TriggerChoice;
}

async function putBack({ table: name, user, key = [], where, triggers }: Wish): Promise<Mark> {
  const { signal } = new AbortController();
  const then = target("was");
  const table = { schema: "public", name, moment: "then" };
  return withConnection(then, { signal }, async (client) => {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const shape = await readShape(client, table);
    if (shape === undefined) throw new Error(`there is no ${name}`);
    await prepareRowSession(client, "public");
    return takeBack(
      { client, target: then, shape, scratch: {} as never },
      {
        live: target("postgres", user),
        table,
        into: table,
        putsBack: true,
        input: { where, key, missing: true, triggers },
      },
      new RecordingReport(),
      signal,
    );
  });
}

function takenOut({ table: name, user }: Wish, { transaction }: Mark): Promise<TakenOut> {
  return withConnection(target("postgres", user), {}, async (client) => {
    await client.query("BEGIN");
    const shape = await readShape(client, { schema: "public", name });
    if (shape === undefined) throw new Error(`there is no ${name}`);
    const result = await takeOut(client, shape, transaction, "fire");
    await client.query("COMMIT");
    return result;
  });
}

describe("rows that are put back", () => {
  it("are none where another constraint than the key's does not hold, and the error tells no values", async () => {
    await both(`CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, age int CHECK (age < 200));
                INSERT INTO people VALUES (1, 'ann@secret', 7), (2, 'bob@secret', 8)`);
    await live("DELETE FROM people; INSERT INTO people VALUES (3, 'ann@secret', 9)");
    const refused = await putBack({ table: "people" }).catch((error: unknown) => error);

    expect(refused).toMatchObject({ code: "E_SQL", message: expect.stringContaining("people_email_key") });
    expect(JSON.stringify([refused, String(refused)])).not.toContain("secret");
    expect(await live("SELECT id FROM people")).toEqual([{ id: 3 }]);
  });

  it("tell no values where one does not fit", async () => {
    await both("CREATE TABLE notes (id int PRIMARY KEY, note text); INSERT INTO notes VALUES (1, 'secret')");
    await live("DELETE FROM notes");
    const refused = await putBack({ table: "notes", where: "note::int > 1" }).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ code: "E_SQL", message: expect.stringContaining('integer: "…"') });

    await live("ALTER TABLE notes ADD CHECK (note <> 'secret')");
    const failing = await putBack({ table: "notes" }).catch((error: unknown) => error);
    expect(failing).toMatchObject({ message: expect.stringContaining("notes_note_check") });
    expect(JSON.stringify([failing, String(failing)])).not.toContain("(1,");
  });

  it("go into a table whose keys are checked at the end of the transaction", async () => {
    await both(`CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, place int UNIQUE DEFERRABLE INITIALLY DEFERRED);
                INSERT INTO deferred VALUES (1, 1), (2, 2)`);
    await live("DELETE FROM deferred WHERE id = 2");

    expect(await putBack({ table: "deferred" })).toMatchObject({ rows: 1, skipped: 0 });
  });

  it("tell of a sequence that would give out their keys again", async () => {
    await both(`CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "it's") PRIMARY KEY, n serial);
                INSERT INTO counted (n) SELECT -n FROM generate_series(1, 9) n`);
    await live("DELETE FROM counted");
    expect(await putBack({ table: "counted", where: "id < 5" })).toMatchObject({ rows: 4, notes: [] });
    await live("TRUNCATE counted RESTART IDENTITY; INSERT INTO counted DEFAULT VALUES");

    const { notes } = await putBack({ table: "counted" });
    expect(notes).toEqual([
      `the sequence "it's" is at 1, and rows that came back have id up to 9: SELECT setval('"it''s"', 9)`,
    ]);
  });

  it("come once where two put back at the same time and no index tells their keys apart", async () => {
    await both(
      "CREATE TABLE loose (a int, b text); INSERT INTO loose SELECT n, 'b' FROM generate_series(1, 50) n",
    );
    // Each has looked for what is missing before another one commits.
    await live(`DELETE FROM loose;
                CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
                  'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
                CREATE TRIGGER linger BEFORE INSERT ON loose EXECUTE FUNCTION linger()`);
    const marks = await Promise.all(
      [1, 2, 3].map(() => putBack({ table: "loose", key: ["a"], triggers: "fire" })),
    );

    expect(marks.reduce((sum, each) => sum + each.rows, 0)).toBe(50);
    expect(await live("SELECT count(*)::int FROM loose")).toEqual([{ count: 50 }]);
  });

  it("fire triggers that find what they find in every other session of the role", async () => {
    await both("CREATE TABLE sold (id int PRIMARY KEY); INSERT INTO sold VALUES (1)");
    await live(`
      DELETE FROM sold;
      CREATE ROLE seller SUPERUSER LOGIN;
      ALTER ROLE seller SET search_path = audit, public;
      CREATE SCHEMA audit;
      CREATE TABLE audit.seen (what text);
      CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO seen VALUES (TG_OP); RETURN NULL; END';
      CREATE TRIGGER see AFTER INSERT OR DELETE ON sold FOR EACH ROW EXECUTE FUNCTION public.see()`);
    const wish = { table: "sold", user: "seller", triggers: "fire" } as const;
    const mark = await putBack(wish);
    await takenOut(wish, mark);

    expect(await live("TABLE audit.seen")).toEqual([{ what: "INSERT" }, { what: "DELETE" }]);
  });

  it("ask for the triggers of partitions too, and can leave them out", async () => {
    await both(`CREATE TABLE days (id int PRIMARY KEY) PARTITION BY RANGE (id);
                CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10);
                INSERT INTO days VALUES (1)`);
    await live(`
      DELETE FROM days;
      CREATE TABLE fired (what text);
      CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO fired VALUES (TG_NAME); RETURN NULL; END';
      CREATE TRIGGER every AFTER INSERT ON days FOR EACH ROW EXECUTE FUNCTION fire();
      CREATE TRIGGER own AFTER INSERT ON days_1 FOR EACH ROW EXECUTE FUNCTION fire();
      CREATE TRIGGER resting AFTER INSERT ON days_1 FOR EACH ROW EXECUTE FUNCTION fire();
      ALTER TABLE days_1 DISABLE TRIGGER resting`);
    const states =
      "SELECT tgrelid::regclass::text AS t, tgname AS n, tgenabled AS e FROM pg_trigger WHERE tgname IN ('every', 'own', 'resting') ORDER BY 1, 2";
    const before = await live(states);

    await expect(putBack({ table: "days" })).rejects.toMatchObject({
      code: "E_INPUT",
      message: expect.stringMatching(/: every, own of public\.days_1$/),
    });
    expect(await putBack({ table: "days", triggers: "skip" })).toMatchObject({ rows: 1 });
    expect(await live("TABLE fired")).toEqual([]);
    expect(await live(states)).toEqual(before);
  });
});

describe("rows that are taken out again", () => {
  it("are none where rows of others refer to them", async () => {
    await both("CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1), (2)");
    await live(`DELETE FROM customers;
                CREATE TABLE orders (id int, customer int REFERENCES customers ON DELETE CASCADE)`);
    const mark = await putBack({ table: "customers" });
    await live("INSERT INTO orders VALUES (7, 1)");

    expect(await takenOut({ table: "customers" }, mark)).toEqual({
      why: expect.stringContaining("rows of public.orders refer"),
    });
    expect(await live("SELECT id FROM orders")).toEqual([{ id: 7 }]);
    await live("DELETE FROM orders");
    expect(await takenOut({ table: "customers" }, mark)).toEqual({ rows: 2 });
  });

  it("may refer to each other", async () => {
    await both(`CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
                INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)`);
    await live("DELETE FROM tree");
    const mark = await putBack({ table: "tree" });
    expect(mark).toMatchObject({ rows: 3 });

    expect(await takenOut({ table: "tree" }, mark)).toEqual({ rows: 3 });
  });
});

it("an undo does not wait for ever for a table that somebody reads", async () => {
  await live("CREATE TABLE restored (id int)");
  const [made] = await live(
    "SELECT pg_current_xact_id()::text AS transaction, 'restored'::regclass::oid::text AS oid",
  );
  const report = new RecordingReport({ ...made, rows: 0, skipped: 0, notes: [] });
  const context = testContext({ databases: { main: { url: cluster.url() } } });
  const into = { schema: "public", name: "restored" };
  const reader = new pg.Client({ host: "127.0.0.1", port: cluster.port, user: "postgres" });
  await reader.connect();
  try {
    await reader.query("BEGIN; TABLE restored");
    const undone = extract.undo?.(context, { database: "main" }, { into, putsBack: false }, report);
    await expect(undone).rejects.toMatchObject({ code: "E_LOCK_TIMEOUT" });
  } finally {
    await reader.end();
  }
  expect(
    await extract.undo?.(context, { database: "main" }, { into, putsBack: false }, report),
  ).toMatchObject({
    undone: true,
  });
}, 40_000);

it("rows of four billion transactions ago are never taken for those that were put back", async () => {
  await both("CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (0)");
  await live("DELETE FROM old");
  const [first] = await live("SELECT pg_current_xact_id()::text AS number");
  await live("DO $$ BEGIN FOR n IN 1..400 LOOP INSERT INTO old VALUES (n); COMMIT; END LOOP; END $$");
  for (const database of ["postgres", "was", "template1"]) await asked("VACUUM FREEZE", database);
  await asked("ALTER DATABASE template0 ALLOW_CONNECTIONS true", "postgres");
  await asked("VACUUM FREEZE", "template0");
  await cluster.stop();
  const { prefix } = await serverUser(cluster.directory);
  const [file = "", ...args] = [...prefix, join(await serverBinaries(undefined), "pg_resetwal")];
  const next = String(Number(first?.number) + 50);
  const reset = await runProgram(file, [...args, "-e", "1", "-x", next, "-u", "3", "-D", cluster.directory], {
    cwd: "/",
  });
  expect(reset).toMatchObject({ exitCode: 0 });
  cluster = await startCluster({
    directory: cluster.directory,
    port: cluster.port,
    settings: { fsync: "off", autovacuum: "off" },
  });

  await expect(putBack({ table: "old" })).rejects.toMatchObject({
    code: "E_DATABASE_CHANGED",
    retryable: true,
  });
  expect(await live("SELECT count(*)::int FROM old")).toEqual([{ count: 400 }]);
}, 60_000);
