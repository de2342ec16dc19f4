import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { operation, PitrSetting } from "./setting.ts";

async function queried(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

let setting: PitrSetting;
let moment = "";

const rowsOf = (sql: string) => setting.wal.query<Record<string, unknown>>(sql);
const asked = (input: object) => ({ "to-time": moment, "restore-command": setting.stockFetch, ...input });

/** @param user whom the live database is asked as; default: the superuser */
function contextOf(user?: string) {
  const { settings } = setting;
  if (user === undefined) return setting.context();
  const main = {
    ...settings.databases.main,
    url: settings.databases.main.url.replace("postgres@", `${user}@`),
  };
  return setting.context({ ...settings, databases: { main } });
}

const extract = (input: object, user?: string) =>
  perform(operation("pitr.extract"), contextOf(user), asked(input));
const diff = async (input: object) =>
  (await perform(operation("pitr.diff"), { ...setting.context(), runId: undefined }, asked(input))).output;

beforeAll(async () => {
  setting = await PitrSetting.start();
  await rowsOf(`
    CREATE TABLE parted (id int, at date, text text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    INSERT INTO parted SELECT n, date '2026-01-01' + n, 't' || n FROM generate_series(1, 50) n;
    CREATE TABLE evolved (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), gone text, retyped int, same text);
    INSERT INTO evolved (gone, retyped, same) SELECT 'g', n, 's' FROM generate_series(1, 10) n;
    CREATE TYPE colour AS ENUM ('red', 'blue');
    CREATE TABLE dropped (id int PRIMARY KEY, colour colour);
    INSERT INTO dropped VALUES (1, 'red'), (2, 'blue');
    CREATE TABLE keyless (a text, b int, c text);
    INSERT INTO keyless VALUES ('x', 1, 'one'), ('x', 2, 'two'), (NULL, 1, 'none'), ('ä', 1, 'umlaut');
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
    CREATE UNLOGGED TABLE unlogged (id int);
    CREATE TABLE mixed (id int) PARTITION BY LIST (id);
    CREATE UNLOGGED TABLE mixed_1 PARTITION OF mixed FOR VALUES IN (1);
    CREATE VIEW seen AS TABLE parted;
    CREATE ROLE clerk LOGIN;
    CREATE SCHEMA closed;
    GRANT USAGE ON SCHEMA closed TO clerk;
    GRANT ALL ON SCHEMA public TO clerk;
    GRANT SELECT ON parted, keyless TO clerk;
    CREATE TABLE guarded (id int PRIMARY KEY);
    INSERT INTO guarded VALUES (1);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON guarded TO clerk`);
  await rowsOf("CREATE DATABASE cyrillic ENCODING 'WIN1251' LOCALE 'C' TEMPLATE template0");
  await queried(
    setting.wal.cluster.url("cyrillic"),
    `CREATE TABLE prices (word text, price numeric, PRIMARY KEY (word, price));
     INSERT INTO prices VALUES ('А', 1.0), ('ё', 2.50), ('я', 10), ('Ж', 3)`,
  );
  await setting.base();
  const [row] = await setting.wal.query<{ now: Date }>("SELECT clock_timestamp() AS now");
  moment = new Date((row?.now.getTime() ?? 0) + 1).toISOString();
  await new Promise((done) => setTimeout(done, 5));
  await rowsOf(`
    DELETE FROM parted WHERE id > 10;
    DELETE FROM evolved;
    ALTER TABLE evolved DROP COLUMN gone, ADD COLUMN fresh text DEFAULT 'new', ALTER COLUMN retyped TYPE bigint;
    DROP TABLE dropped`);
  await rowsOf("UPDATE keyless SET c = 'changed' WHERE b = 2");
}, 180_000);
afterAll(() => setting.stop());

it("keys are told apart by the bytes that come, whatever the server orders by, and numbers by their values", async () => {
  const { settings } = setting;
  const main = { ...settings.databases.main, url: setting.wal.cluster.url("cyrillic") };
  const context = { ...setting.context({ ...settings, databases: { main } }), runId: undefined };
  const changes = "DELETE FROM prices WHERE word = 'ё'; UPDATE prices SET price = 1.00 WHERE price = 1";
  await queried(main.url, changes);
  const { output } = await perform(operation("pitr.diff"), context, asked({ table: "prices" }));

  expect(output).toMatchObject({ removed: 1, added: 0, changed: 1, unchanged: 2 });
}, 180_000);

describe("tables of every shape", () => {
  it("rows of a partitioned table go back into its partitions, and into one plain table", async () => {
    const back = await extract({ table: "parted", into: "parted", missing: true });

    expect(back.output).toMatchObject({ rows: 40 });
    expect(
      await rowsOf("SELECT count(*)::int FROM parted_2 UNION ALL SELECT count(*)::int FROM parted_1"),
    ).toEqual([{ count: 20 }, { count: 30 }]);
    expect(await back.undo()).toMatchObject({ undone: true, note: expect.stringMatching(/^40 rows/) });
    const copy = await extract({ table: "parted", into: "plain" });
    expect(copy.output).toMatchObject({ rows: 50 });
    expect(await rowsOf("SELECT relkind FROM pg_class WHERE relname = 'plain'")).toEqual([{ relkind: "r" }]);
  }, 180_000);

  it("columns that have changed since are told, and rows go back without them", async () => {
    const columns = {
      added: ["fresh"],
      removed: ["gone"],
      retyped: [{ name: "retyped", before: "integer", after: "bigint" }],
    };
    expect(await diff({ table: "evolved" })).toMatchObject({ removed: 10, columns });

    const { output } = await extract({ table: "evolved", into: "evolved", missing: true });
    expect(output).toMatchObject({
      rows: 10,
      notes: [expect.stringContaining("column gone is gone"), expect.stringContaining("column fresh is new")],
    });
    expect(
      await rowsOf("SELECT count(*)::int, min(fresh) AS fresh, max(retyped)::int AS most FROM evolved"),
    ).toEqual([{ count: 10, fresh: "new", most: 10 }]);
    expect(await diff({ table: "evolved" })).toMatchObject({
      removed: 0,
      added: 0,
      changed: 0,
      unchanged: 10,
      columns,
    });
  }, 180_000);

  it("a table that was dropped comes back, as soon as its types are there", async () => {
    await rowsOf("DROP TYPE colour");
    await expect(extract({ table: "dropped", into: "dropped" })).rejects.toMatchObject({
      code: "E_TABLE_TYPE",
      message: expect.stringContaining("no type public.colour now"),
    });
    await rowsOf("CREATE TYPE colour AS ENUM ('red')");
    await expect(extract({ table: "dropped", into: "dropped" })).rejects.toMatchObject({
      code: "E_TABLE_TYPE",
      message: expect.stringContaining("no longer has blue"),
    });
    await rowsOf("ALTER TYPE colour ADD VALUE 'blue'");

    const { output } = await extract({ table: "dropped", into: "dropped" });
    expect(output).toMatchObject({ rows: 2 });
    expect(await rowsOf("TABLE dropped")).toEqual([
      { id: 1, colour: "red" },
      { id: 2, colour: "blue" },
    ]);
  }, 180_000);

  it("a table without a primary key is compared by the columns that are named", async () => {
    await expect(diff({ table: "keyless" })).rejects.toMatchObject({ code: "E_INPUT" });
    await expect(diff({ table: "keyless", key: ["a"] })).rejects.toMatchObject({ code: "E_INPUT" });
    await expect(diff({ table: "keyless", key: ["z"] })).rejects.toMatchObject({ code: "E_INPUT" });

    expect(await diff({ table: "keyless", key: ["a", "b"] })).toMatchObject({
      removed: 0,
      unchanged: 3,
      shown: { changed: [{ key: { a: "x", b: "2" }, before: { c: "two" }, after: { c: "changed" } }] },
    });
  }, 180_000);

  it.each([
    [{ table: "unlogged", into: "x" }, "E_TABLE_UNKNOWN", /unlogged/],
    [{ table: "mixed", into: "x" }, "E_TABLE_UNKNOWN", /not in the WAL: public\.mixed_1/],
    [{ table: "seen", into: "x" }, "E_TABLE_UNKNOWN", /view/],
    [{ table: "parent", into: "parent", missing: true }, "E_INPUT", /child tables/],
  ])(
    "what cannot be taken back is refused: %j",
    async (input, code, message) => {
      await expect(extract(input)).rejects.toMatchObject({
        code,
        exitCode: 2,
        message: expect.stringMatching(message),
      });
    },
    30_000,
  );
});

describe("a role that is no superuser", () => {
  it("gets a table of its own, and is told what it may not do", async () => {
    const [last] = await setting.wal.fillSegments(1);
    await setting.wal.untilArchived(last ?? "");

    const { output, report } = await extract({ table: "parted", into: "mine", where: "id = 1" }, "clerk");
    expect(output).toMatchObject({ rows: 1, notes: ["public.mine belongs to clerk, not to postgres"] });
    expect(report.lines).toEqual([expect.stringContaining("pg_switch_wal()")]);
  }, 180_000);

  it.each([
    [{ table: "parted", into: "parted", missing: true }, /may not put rows into public\.parted/],
    [{ table: "parted", into: "closed.parted" }, /may not make closed\.parted/],
  ])(
    "hears what it may not do before anything is restored: %j",
    async (input, message) => {
      const chosen = operation("pitr.extract");
      const observed = chosen.observe(contextOf("clerk"), chosen.input.parse(asked(input)));
      await expect(observed).rejects.toMatchObject({
        code: "E_INPUT",
        message: expect.stringMatching(message),
      });
    },
    30_000,
  );

  it("compares nothing where a policy would hide rows from it", async () => {
    const chosen = operation("pitr.diff");
    await expect(perform(chosen, contextOf("clerk"), asked({ table: "guarded" }))).rejects.toMatchObject({
      code: "E_SQL",
      message: expect.stringContaining("row-level security"),
    });
  }, 180_000);
});
