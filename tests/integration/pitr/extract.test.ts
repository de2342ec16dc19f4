import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { operation, PitrSetting } from "./setting.ts";

let setting: PitrSetting;
let moment = "";

const rowsOf = (sql: string) => setting.wal.query<Record<string, unknown>>(sql);

const asked = (input: object) => ({
  table: "shop.orders",
  "to-time": moment,
  "restore-command": setting.stockFetch,
  ...input,
});
const extract = (input: object) => perform(operation("pitr.extract"), setting.context(), asked(input));
const refused = (input: object) => {
  const chosen = operation("pitr.extract");
  return chosen.observe(setting.context(), chosen.input.parse(asked(input)));
};

/** Outside of a run, as the command is. */
const diff = async (input: object = {}) => {
  const context = { ...setting.context(), runId: undefined };
  return (await perform(operation("pitr.diff"), context, asked(input))).output as Record<string, unknown>;
};

beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.query(`
    CREATE ROLE clerk;
    CREATE ROLE reader;
    CREATE SCHEMA shop AUTHORIZATION clerk;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO reader;
    CREATE TYPE shop.mood AS ENUM ('good', 'bad');
    CREATE DOMAIN shop.amount AS numeric(10, 2) CHECK (VALUE >= 0);
    CREATE COLLATION shop.german (provider = icu, locale = 'de');
    CREATE TABLE shop.customers (id int PRIMARY KEY);
    INSERT INTO shop.customers VALUES (1), (2);
    CREATE TABLE shop.orders (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      customer int NOT NULL REFERENCES shop.customers,
      "Total Price" shop.amount,
      doubled numeric GENERATED ALWAYS AS ("Total Price" * 2) STORED,
      mood shop.mood DEFAULT 'good',
      note text COLLATE shop.german,
      tags text[], at timestamptz, span interval, raw bytea, doc jsonb, moods shop.mood[]);
    ALTER TABLE shop.orders OWNER TO clerk;
    INSERT INTO shop.orders (customer, "Total Price", mood, note, tags, at, span, raw, doc, moods)
      SELECT 1 + n % 2, n + 0.5, CASE WHEN n % 3 = 0 THEN 'bad' ELSE 'good' END::shop.mood,
             CASE WHEN n % 5 > 0 THEN E'tab\\there\\nline \\\\ é ' || n END, ARRAY['a,b', '"q"', n::text],
             '2026-11-21T12:00:00Z'::timestamptz + n * interval '1 second', n * interval '1 day 1 second',
             decode(md5(n::text), 'hex'), jsonb_build_object('n', n, 't', E'\\t'), ARRAY['bad', 'good']::shop.mood[]
        FROM generate_series(1, 1000) n;
    CREATE TABLE shop.truth AS SELECT * FROM shop.orders`);
  await setting.base();
  const [row] = await setting.wal.query<{ now: Date }>("SELECT clock_timestamp() AS now");
  moment = new Date((row?.now.getTime() ?? 0) + 1).toISOString();
  await new Promise((done) => setTimeout(done, 5));
  await setting.wal.query("DELETE FROM shop.orders WHERE id <= 300");
  await setting.wal.query(`UPDATE shop.orders SET "Total Price" = 1 WHERE id = 1000`);
  await setting.wal.query("INSERT INTO shop.orders (customer, note) VALUES (1, E'\\x1b[31mred')");
}, 180_000);
afterAll(() => setting.stop());

describe("pitr.diff", () => {
  it("counts and shows what was removed, added and changed since", async () => {
    const found = await diff({ limit: 2 });

    expect(found).toMatchObject({
      table: "shop.orders",
      key: ["id"],
      rows: { before: 1000, after: 701 },
      removed: 300,
      added: 1,
      changed: 1,
      unchanged: 699,
      columns: { added: [], removed: [], retyped: [] },
      shown: {
        removed: [{ id: "1", note: "tab\there\nline \\ é 1", tags: '{"a,b","\\"q\\"",1}' }, { id: "2" }],
        added: [{ id: "1001" }],
        changed: [
          {
            key: { id: "1000" },
            before: { "Total Price": "1000.50", doubled: "2001.00" },
            after: { "Total Price": "1.00", doubled: "2.00" },
          },
        ],
      },
    });
    const text = operation("pitr.diff").render?.(found) ?? "";
    expect(text).toContain("300 removed, 1 added, 1 changed, 699 the same");
    expect(text).toContain("… and 298 more");
    expect(text).toContain("~ id=1000  Total Price: 1000.50 → 1.00, doubled: 2001.00 → 2.00");
    expect(text).toContain("\\u{1b}[31mred");
    expect(await readdir(setting.wal.path(".ops/scratch"))).toEqual([]);
  }, 180_000);

  it("reaches a position that is not archived yet", async () => {
    const [row] = await setting.wal.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
    await rowsOf("UPDATE shop.truth SET note = 'later' WHERE id = 5");
    const found = await diff({ table: "shop.truth", key: ["id"], "to-time": undefined, "to-lsn": row?.lsn });

    expect(found).toMatchObject({
      removed: 0,
      changed: 1,
      shown: { changed: [{ after: { note: "later" } }] },
    });
    await rowsOf("UPDATE shop.truth t SET note = NULL WHERE id = 5");
  }, 180_000);

  it("tells only the counts within a run, whose journal keeps them", async () => {
    const { output } = await perform(operation("pitr.diff"), setting.context(), asked({ where: "id < 10" }));

    expect(output).toMatchObject({ removed: 9, shown: { removed: [], added: [], changed: [] } });
  }, 180_000);
});

describe("pitr.extract into a new table", () => {
  it("has the rows of then with their types, and nobody but the owner may read it; undo drops it", async () => {
    const { output, undo, changes } = await extract({ into: "orders_restored" });

    expect(changes).toMatchObject([
      { action: "create", summary: expect.stringContaining("shop.orders_restored") },
    ]);
    expect(output).toMatchObject({ into: "shop.orders_restored", rows: 1000, skipped: 0, notes: [] });
    expect(
      await rowsOf(
        "(TABLE shop.orders_restored EXCEPT TABLE shop.truth) UNION ALL (TABLE shop.truth EXCEPT TABLE shop.orders_restored)",
      ),
    ).toEqual([]);
    const columns = (table: string) =>
      rowsOf(`SELECT attname, format_type(atttypid, atttypmod), attcollation, attnotnull FROM pg_attribute
               WHERE attrelid = '${table}'::regclass AND attnum > 0 ORDER BY attnum`);
    expect(await columns("shop.orders_restored")).toEqual(await columns("shop.orders"));
    expect(
      await rowsOf(`SELECT pg_get_userbyid(relowner) AS owner, has_table_privilege('reader', oid, 'SELECT') AS reader,
                           (SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE conrelid = r.oid) AS key
                      FROM pg_class r WHERE relname = 'orders_restored'`),
    ).toEqual([{ owner: "clerk", reader: false, key: "PRIMARY KEY (id)" }]);

    expect(await undo()).toMatchObject({ undone: true });
    expect(await rowsOf("SELECT to_regclass('shop.orders_restored') AS there")).toEqual([{ there: null }]);
  }, 180_000);

  it("takes only the rows of a condition, or those that are missing", async () => {
    const some = await extract({ into: "some", where: "mood = 'bad' -- the angry ones" });
    const gone = await extract({ into: '"Gone"', missing: true, where: "id > 100 AND orders.customer = 2" });

    expect(some.output).toMatchObject({ rows: 333 });
    expect(gone.output).toMatchObject({ into: 'shop."Gone"', rows: 100 });
    expect(await rowsOf(`SELECT min(id)::int, max(id)::int FROM shop."Gone"`)).toEqual([
      { min: 101, max: 299 },
    ]);
    await some.undo();
    await gone.undo();
  }, 180_000);

  it("undo leaves a table that somebody else has put in its place", async () => {
    const { undo } = await extract({ into: "taken", where: "id = 1" });
    await rowsOf("ALTER TABLE shop.taken RENAME TO kept");
    await rowsOf("CREATE TABLE shop.taken (n int)");

    expect(await undo()).toMatchObject({ undone: "kept", note: expect.stringContaining("shop.kept") });
    await rowsOf("DROP TABLE shop.taken, shop.kept");
  }, 180_000);
});

describe("pitr.extract --missing into the table itself", () => {
  it("puts back what was deleted and leaves the rest; undo removes what nobody has changed since", async () => {
    const { output, undo, changes } = await extract({ into: "shop.orders", missing: true, where: "id > 10" });

    expect(changes).toMatchObject([{ action: "update" }]);
    expect(output).toMatchObject({ rows: 290, skipped: 0 });
    expect(
      await rowsOf(`SELECT count(*)::int AS n, sum("Total Price") FILTER (WHERE id = 1000)::text AS changed
                           FROM shop.orders WHERE id BETWEEN 11 AND 1000`),
    ).toEqual([{ n: 990, changed: "1.00" }]);
    expect(
      await rowsOf("SELECT * FROM shop.truth WHERE id BETWEEN 11 AND 300 EXCEPT TABLE shop.orders"),
    ).toEqual([]);
    await rowsOf("UPDATE shop.orders SET mood = 'bad' WHERE id = 11");

    expect(await undo()).toMatchObject({
      undone: true,
      note: expect.stringMatching(/^289 rows .*1 were changed or deleted/),
    });
    expect(await rowsOf("SELECT min(id)::int, count(*)::int FROM shop.orders WHERE id <= 300")).toEqual([
      { min: 11, count: 1 },
    ]);
    await rowsOf("DELETE FROM shop.orders WHERE id = 11");
  }, 180_000);

  it("asks what triggers are to do, and can leave them out", async () => {
    await rowsOf(`
      CREATE TABLE shop.fired (id bigint);
      CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO shop.fired VALUES (NEW.id); RETURN NEW; END';
      CREATE TRIGGER outbox AFTER INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.fire()`);
    const wish = { into: "orders", missing: true, where: "id <= 3" };

    await expect(refused(wish)).rejects.toMatchObject({
      code: "E_INPUT",
      message: expect.stringContaining("outbox"),
    });
    const skipped = await extract({ ...wish, triggers: "skip" });
    expect(skipped.output).toMatchObject({ rows: 3 });
    expect(await rowsOf("SELECT count(*)::int FROM shop.fired")).toEqual([{ count: 0 }]);
    expect(await rowsOf("SELECT tgenabled FROM pg_trigger WHERE tgname = 'outbox'")).toEqual([
      { tgenabled: "O" },
    ]);
    await skipped.undo();
    const fired = await extract({ ...wish, triggers: "fire" });
    expect(await rowsOf("SELECT count(*)::int FROM shop.fired")).toEqual([{ count: 3 }]);
    await fired.undo();
    await rowsOf("DROP TRIGGER outbox ON shop.orders");
  }, 180_000);

  it("puts back nothing where a foreign key does not hold", async () => {
    await rowsOf("DELETE FROM shop.orders WHERE customer = 2");
    await rowsOf("DELETE FROM shop.customers WHERE id = 2");

    await expect(extract({ into: "orders", missing: true })).rejects.toMatchObject({
      code: "E_SQL",
      message: expect.stringContaining("foreign key"),
    });
    expect(await rowsOf("SELECT count(*)::int FROM shop.orders WHERE id <= 300")).toEqual([{ count: 0 }]);
  }, 180_000);
});

describe("what is refused before anything is restored", () => {
  it.each([
    [{ into: "x", where: "id >" }, "E_INPUT", /syntax error/],
    [{ into: "x", where: "true); DROP TABLE x; SELECT (1" }, "E_INPUT", /more than one condition/],
    [{ into: "x", where: "id = 'one'" }, "E_INPUT", /at character 6: invalid input syntax/],
    [{ into: "customers" }, "E_TABLE_EXISTS", /shop\.customers already/],
    [{ into: "orders" }, "E_TABLE_EXISTS", /shop\.orders already/],
    [{ into: "nowhere.x" }, "E_INPUT", /no schema "nowhere"/],
    [{ into: "a.b.c" }, "E_INPUT", /not the name of a table/],
    [{ into: "x", "to-time": "2020-01-01T00:00:00Z" }, "E_RESTORE_TARGET", /before the oldest/],
  ])("%j", async (input, code, message) => {
    await expect(refused(input)).rejects.toMatchObject({
      code,
      exitCode: 2,
      message: expect.stringMatching(message),
    });
  });

  it("a condition of diff that does not fit the table of now", async () => {
    await expect(diff({ where: "custmer = 1" })).rejects.toMatchObject({
      code: "E_INPUT",
      message: expect.stringMatching(/at character 1: column "custmer" does not exist/),
    });
  });

  it("but a name that may have been right then is only doubted", async () => {
    const chosen = operation("pitr.extract");
    const doubts = async (input: object) => {
      const parsed = chosen.input.parse(asked({ into: "x", ...input }));
      return chosen.notes?.(await chosen.observe(setting.context(), parsed), parsed)[0];
    };

    expect(await doubts({ table: "shop.ordrs" })).toContain(
      "there is no table shop.ordrs now; there is orders",
    );
    expect(await doubts({ where: "custmer = 1" })).toContain('column "custmer" does not exist');
  });

  it("a table that there was not", async () => {
    await expect(extract({ table: "nothing", into: "x" })).rejects.toMatchObject({
      code: "E_TABLE_UNKNOWN",
      exitCode: 2,
    });
  }, 180_000);
});
