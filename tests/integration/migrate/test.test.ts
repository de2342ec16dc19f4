import { describe, expect, test } from "vitest";
import { rehearsed, tested } from "./rehearsal.ts";

const orders = {
  "0001_orders.up.sql":
    "CREATE TABLE orders (id int PRIMARY KEY, code varchar(10), note text);\nINSERT INTO orders SELECT n, 'c' || n, 'note' FROM generate_series(1, 100) n;",
  "0001_orders.down.sql": "DROP TABLE orders;",
};

describe("migrate.test from an empty database", () => {
  test("passes where every way down brings back the schema from before", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_status.up.sql": "ALTER TABLE orders ADD COLUMN status text;",
      "0002_status.down.sql": "ALTER TABLE orders DROP COLUMN status;",
    });
    expect(report).toMatchObject({ verdict: "pass", files: [{ version: "0001" }, { version: "0002" }] });
    expect(tested(report, "status")).toMatchObject({ verdict: "pass", oneWay: false, dataLoss: [] });
  });

  test("fails where the way down leaves something over, naming the object, and tests the rest", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_status.up.sql":
        "ALTER TABLE orders ADD COLUMN IF NOT EXISTS status text;\nCREATE INDEX IF NOT EXISTS orders_status ON orders (status);",
      "0002_status.down.sql": "DROP INDEX orders_status;",
      "0003_items.up.sql": "CREATE TABLE items (id int);",
      "0003_items.down.sql": "DROP TABLE items;",
    });
    expect(report.verdict).toBe("fail");
    expect(tested(report, "status").problem).toEqual({
      step: "schema-after-down",
      message: "0002_status.down.sql does not bring back the schema from before 0002_status",
      differences: ["column public.orders.status is left over"],
    });
    expect(tested(report, "items").verdict).toBe("pass");
  });

  test("reports a way down that brings back a column without its values", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_drop_note.up.sql": "ALTER TABLE orders DROP COLUMN note;",
      "0002_drop_note.down.sql": "ALTER TABLE orders ADD COLUMN note text;",
    });
    expect(tested(report, "drop_note")).toMatchObject({
      verdict: "pass",
      dataLoss: [{ kind: "values-lost", object: "orders.note", held: 100, left: 0 }],
    });
  });

  test("reports values that a way down does not change back", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_capitals.up.sql": "UPDATE orders SET code = upper(code);",
      "0002_capitals.down.sql": "SELECT 1;",
    });
    expect(tested(report, "capitals").dataLoss).toEqual([
      { kind: "values-changed", object: "orders.code", held: 100, left: 100 },
    ]);
  });

  test("reports values that a way down leaves in other rows", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_mirror.up.sql": "UPDATE orders SET id = id + 1000;\nUPDATE orders SET id = 1101 - id;",
      "0002_mirror.down.sql": "SELECT 1;",
      "0003_again.up.sql": "ALTER TABLE orders ADD COLUMN status text;\nUPDATE orders SET status = code;",
      "0003_again.down.sql": "ALTER TABLE orders DROP COLUMN status;",
      "0004_moved.up.sql":
        "ALTER TABLE orders ADD COLUMN copy text;\nUPDATE orders SET copy = code;\nALTER TABLE orders DROP COLUMN code;",
      "0004_moved.down.sql":
        "ALTER TABLE orders ADD COLUMN code varchar(10);\nUPDATE orders SET code = copy;\nALTER TABLE orders DROP COLUMN copy;",
    });
    expect(tested(report, "mirror").dataLoss).toEqual([
      { kind: "rows-changed", object: "orders", held: 100, left: 100 },
    ]);
    expect(tested(report, "again").dataLoss).not.toContainEqual(
      expect.objectContaining({ kind: "rows-changed" }),
    );
    expect(tested(report, "moved").dataLoss).not.toContainEqual(
      expect.objectContaining({ kind: "rows-changed" }),
    );
  });

  test("reports a sequence that a way down makes anew, and not one that went on", async () => {
    const report = await rehearsed({
      "0001_items.up.sql":
        "CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY, name text);\nINSERT INTO items (name) SELECT 'n' FROM generate_series(1, 20);",
      "0001_items.down.sql": "DROP TABLE items;",
      "0002_more.up.sql": "INSERT INTO items (name) VALUES ('more');",
      "0002_more.down.sql": "DELETE FROM items WHERE name = 'more';",
      "0003_plain.up.sql": "ALTER TABLE items ALTER id DROP IDENTITY;",
      "0003_plain.down.sql": "ALTER TABLE items ALTER id ADD GENERATED ALWAYS AS IDENTITY;",
    });
    expect(tested(report, "more").dataLoss).toEqual([]);
    expect(tested(report, "plain")).toMatchObject({
      verdict: "pass",
      dataLoss: [{ kind: "position-lost", object: "items_id_seq", held: 23, left: 1 }],
    });
  });

  test("reports what a way down drops although something is in it, and not what it only renames", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_rename.up.sql": "ALTER TABLE orders RENAME TO sales;",
      "0002_rename.down.sql": "ALTER TABLE sales RENAME TO orders;",
    });
    expect(tested(report, "orders").dataLoss).toEqual([
      { kind: "table-dropped", object: "orders", held: 100, left: 0 },
    ]);
    expect(tested(report, "rename").dataLoss).toEqual([]);
  });

  test("a migration without a way down is one-way and no failure", async () => {
    const { "0001_orders.up.sql": up } = orders;
    const report = await rehearsed({ "0001_orders.up.sql": up });
    expect(report.verdict).toBe("pass");
    expect(tested(report, "orders")).toMatchObject({ oneWay: true, down: null });
  });

  test("places an error, and does not test what stands on the broken migration", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_broken.up.sql": "SELECT 1;\nALTER TABLE ordrs ADD COLUMN status text;",
      "0003_items.up.sql": "CREATE TABLE items (id int);",
    });
    expect(tested(report, "broken").problem).toMatchObject({
      step: "up",
      message: expect.stringContaining('0002_broken.up.sql:2:1: relation "ordrs" does not exist'),
    });
    expect(tested(report, "items").verdict).toBe("not-tested");
  });

  test("goes on in a new database after a migration that cannot go up a second time", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_kept.up.sql": "CREATE TABLE kept (id int);\nCREATE ROLE keeper;",
      "0002_kept.down.sql": "ALTER TABLE kept RENAME TO forgotten;",
      "0003_grants.up.sql": "GRANT SELECT ON kept TO keeper;",
      "0003_grants.down.sql": "REVOKE SELECT ON kept FROM keeper;",
    });
    expect(tested(report, "kept").problem).toMatchObject({ step: "schema-after-down" });
    expect(tested(report, "grants")).toMatchObject({ verdict: "pass", problem: null });
  });

  test("a verify file that returns rows fails its migration, and runs as up runs it", async () => {
    const report = await rehearsed({
      ...orders,
      "0001_orders.verify.sql": "SELECT id FROM orders WHERE id > 98;",
      "0002_write.up.sql": "CREATE TABLE written (id int);",
      "0002_write.verify.sql": "INSERT INTO written VALUES (1);",
      "0003_path.up.sql": "CREATE SCHEMA app;\nSET search_path = app;\nCREATE TABLE found (id int);",
      "0003_path.verify.sql": "SELECT id FROM found;",
    });
    expect(tested(report, "write").problem).toMatchObject({
      step: "verify",
      message: expect.stringContaining("cannot execute INSERT in a read-only transaction"),
    });
    expect(tested(report, "path").verdict).toBe("pass");
    expect(tested(report, "orders").problem).toMatchObject({
      step: "verify",
      message: expect.stringContaining("returned 2 rows"),
    });
  });

  test("makes the roles that a GRANT names and no migration makes", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_grants.up.sql": "CREATE ROLE made;\nGRANT SELECT ON orders TO app_reader, made;",
      "0002_grants.down.sql": "REVOKE SELECT ON orders FROM app_reader, made;\nDROP ROLE made;",
    });
    expect(report.verdict).toBe("pass");
    expect(report.passes[0]?.notes).toEqual([
      "roles that the migrations name and do not make were made for the test: app_reader",
    ]);
  });
});

describe("what is recorded of each statement", () => {
  test("int to bigint rewrites the table and its indexes under ACCESS EXCLUSIVE", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_bigint.up.sql": "ALTER TABLE orders ALTER COLUMN id TYPE bigint;",
    });
    const [statement] = tested(report, "bigint").up?.statements ?? [];
    expect(statement?.locks).toContainEqual({ relation: "orders", kind: "table", mode: "ACCESS EXCLUSIVE" });
    expect(statement?.rewrites.map((each) => each.relation).sort()).toEqual(["orders", "orders_pkey"]);
    expect(statement?.walBytes).toBeGreaterThan(1000);
    expect(tested(report, "bigint").up?.holds).toMatchObject([
      { relation: "orders", blocks: "reads and writes" },
    ]);
  });

  test("a longer varchar rewrites nothing", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_widen.up.sql": "ALTER TABLE orders ALTER COLUMN code TYPE varchar(20);",
    });
    const [statement] = tested(report, "widen").up?.statements ?? [];
    expect(statement?.rewrites).toEqual([]);
    expect(statement?.locks).toContainEqual({ relation: "orders", kind: "table", mode: "ACCESS EXCLUSIVE" });
  });

  test("CREATE INDEX blocks writes, CREATE INDEX CONCURRENTLY nobody", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_index.up.sql": "CREATE INDEX orders_code ON orders (code);",
      "0003_concurrent.up.sql":
        "-- ops: transaction=none\nCREATE INDEX CONCURRENTLY orders_note ON orders (note);",
    });
    expect(tested(report, "index").up).toMatchObject({
      transaction: true,
      statements: [{ locksSeen: "all", locks: [{ relation: "orders", mode: "SHARE" }] }],
      holds: [{ relation: "orders", mode: "SHARE", blocks: "writes" }],
    });
    const concurrent = tested(report, "concurrent").up;
    expect(concurrent).toMatchObject({ transaction: false, holds: [] });
    expect(concurrent?.statements[0]?.locksSeen).toBe("sampled");
  });

  test("a foreign key locks both tables against writes", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_items.up.sql": "CREATE TABLE items (id int, order_id int);",
      "0003_key.up.sql": "ALTER TABLE items ADD FOREIGN KEY (order_id) REFERENCES orders (id);",
    });
    const holds = tested(report, "key").up?.holds ?? [];
    expect(holds.map((each) => [each.relation, each.mode, each.blocks]).sort()).toEqual([
      ["items", "SHARE ROW EXCLUSIVE", "writes"],
      ["orders", "SHARE ROW EXCLUSIVE", "writes"],
    ]);
  });

  test("a lock counts from the statement that took it to the end of the transaction", async () => {
    const report = await rehearsed({
      ...orders,
      "0002_slow.up.sql": "ALTER TABLE orders ADD COLUMN seen boolean;\nSELECT pg_sleep(0.3);",
    });
    const [hold] = tested(report, "slow").up?.holds ?? [];
    expect(hold).toMatchObject({ relation: "orders", blocks: "reads and writes" });
    expect(hold?.heldMs).toBeGreaterThan(300);
  });
});
