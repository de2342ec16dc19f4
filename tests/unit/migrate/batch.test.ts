import { describe, expect, test } from "vitest";
import { nextSize } from "../../../src/migrate/batch/batch-size.ts";
import {
  characterInFile,
  executable,
  findPlaceholders,
  parameterised,
} from "../../../src/migrate/batch/placeholders.ts";
import { batchProblems } from "../../../src/migrate/batch/statement.ts";
import { sqlFile } from "../../../src/migrate/sql-file.ts";

const file = (statement: string, header = "-- ops: batch table=users key=id") =>
  sqlFile("7_fill.up.sql", () => `${header}\n${statement}`);

describe("placeholders", () => {
  test("are none in strings, comments, casts and other names", async () => {
    const sql =
      "SELECT ':batch_start', é, x::batch_end, :batch_ends /* :batch_end */, :batch_start -- :batch_end";
    const found = await findPlaceholders(sql);
    expect(found).toEqual([{ parameter: 1, index: sql.lastIndexOf(":batch_start") }]);
  });

  test("become parameters without moving what stands behind them", async () => {
    const sql = "WHERE id BETWEEN :batch_start AND :batch_end AND x";
    expect(parameterised(sql, await findPlaceholders(sql))).toBe(
      "WHERE id BETWEEN $1           AND $2         AND x",
    );
  });

  test("are sent with the key's type, and the server's places are places in the file", async () => {
    const sql = "SELECT '😀' WHERE id BETWEEN :batch_start AND :batch_end AND wrong";
    const uses = await findPlaceholders(sql);
    const sent = executable(sql, uses, "bigint");
    expect(sent).toBe("SELECT '😀' WHERE id BETWEEN ($1::bigint) AND ($2::bigint) AND wrong");
    const character = [...sent].join("").indexOf("wrong") - 1 + 1;
    expect(characterInFile(sql, uses, "bigint", character)).toBe(
      [...sql.slice(0, sql.indexOf("wrong"))].length + 1,
    );
    const first = [...sent.slice(0, sent.indexOf("($1"))].length + 1;
    expect(characterInFile(sql, uses, "bigint", first + 3)).toBe(first);
  });
});

describe("a batched file", () => {
  test.each([
    "UPDATE users SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end;",
    "UPDATE users u SET n = o.n FROM orders o WHERE o.id = u.id AND u.id >= :batch_start AND :batch_end >= u.id",
    "DELETE FROM users WHERE id >= :batch_start::bigint AND id <= (:batch_end)",
    "INSERT INTO archive SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end ON CONFLICT DO NOTHING",
    "WITH b AS (SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end) UPDATE users SET n = 1 FROM b WHERE b.id = users.id",
    "UPDATE orders o SET n = u.n FROM users u WHERE o.user_id = u.id AND u.id BETWEEN :batch_start AND :batch_end",
    "UPDATE app.users SET n = 1 WHERE users.n = 0 AND (id >= :batch_start AND id <= :batch_end)",
    "UPDATE users SET n = (SELECT n FROM users u WHERE u.id < users.id LIMIT 1) WHERE id BETWEEN :batch_start AND :batch_end",
    "INSERT INTO archive SELECT u.*, o.n FROM users u CROSS JOIN LATERAL (SELECT n FROM orders o WHERE o.user_id = u.id LIMIT 1) o WHERE u.id BETWEEN :batch_start AND :batch_end LIMIT ALL",
    "WITH last AS (SELECT n FROM orders ORDER BY id DESC LIMIT 1) UPDATE users SET n = last.n FROM last WHERE users.id BETWEEN :batch_start AND :batch_end",
    "WITH gone AS (DELETE FROM users WHERE id BETWEEN :batch_start AND :batch_end RETURNING *) INSERT INTO archive SELECT * FROM gone",
  ])("is fine as %s", async (statement) => {
    expect(await batchProblems(file(statement))).toEqual([]);
  });

  test.each([
    ["UPDATE users SET n = 1; SELECT 1", /holds 2 statements/],
    ["CREATE TABLE t ()", /no UPDATE, DELETE or INSERT/],
    ["UPDATE users SET n = 1 WHERE id >= :batch_start", /does not use :batch_end/],
    ["UPDATE users SET n = 1 WHERE id >= :batch_start AND id < :batch_end", /:batch_end by <=/],
    ["UPDATE users SET n = 1 WHERE id > :batch_start AND id <= :batch_end", /:batch_start by >=/],
    ["UPDATE users SET n = 1 WHERE other BETWEEN :batch_start AND :batch_end", /must compare the key id/],
    ["UPDATE users SET id = id + 1 WHERE id BETWEEN :batch_start AND :batch_end", /changes the key id/],
    ["INSERT INTO users SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end", /might never end/],
    [
      "UPDATE users u SET n = 1 FROM orders o WHERE o.user_id = u.id AND o.id BETWEEN :batch_start AND :batch_end",
      /^7_fill\.up\.sql:2:67: o\.id is not the key id of users/,
    ],
    [
      "UPDATE users u SET n = 1 FROM orders o WHERE o.user_id = u.id AND id BETWEEN :batch_start AND :batch_end",
      /^7_fill\.up\.sql:2:67: id could be of any of 2 tables/,
    ],
    [
      "UPDATE users SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end OR n >= 0",
      /^7_fill\.up\.sql:2:41: /,
    ],
    ["DELETE FROM users WHERE NOT (id BETWEEN :batch_start AND :batch_end)", /must compare the key id/],
    [
      "DELETE FROM users WHERE n IN (SELECT n FROM users WHERE id BETWEEN :batch_start AND :batch_end)",
      /must compare the key id/,
    ],
    [
      "INSERT INTO archive SELECT * FROM users UNION SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end",
      /has no table users/,
    ],
    ["UPDATE orders SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end", /has no table users/],
    [
      "UPDATE other.users SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end",
      /has no table app\.users/,
      "app.users",
    ],
    [
      "WITH b AS (SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end) UPDATE users SET n = 1",
      /must compare the key id/,
    ],
    [
      "WITH users AS (SELECT 1 AS id) UPDATE orders SET n = 1 FROM users WHERE users.id BETWEEN :batch_start AND :batch_end",
      /has no table users/,
    ],
    [
      "UPDATE users u SET n = 1 FROM users v WHERE v.id BETWEEN :batch_start AND :batch_end",
      /v\.id is not the key id of users/,
    ],
    [
      "INSERT INTO archive SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end LIMIT 100",
      /^7_fill\.up\.sql:2:\d+: LIMIT leaves out rows/,
    ],
    [
      "INSERT INTO archive SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end ORDER BY n FETCH FIRST 9 ROWS WITH TIES",
      /FETCH FIRST leaves out/,
    ],
    [
      "INSERT INTO archive SELECT * FROM users WHERE id BETWEEN :batch_start AND :batch_end OFFSET 1",
      /OFFSET leaves out/,
    ],
    [
      "INSERT INTO archive SELECT * FROM users TABLESAMPLE system (10) WHERE id BETWEEN :batch_start AND :batch_end",
      /TABLESAMPLE leaves out/,
    ],
    ["UPDATE ONLY users SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end", /ONLY leaves out/],
    ["DELETE FROM ONLY users WHERE id BETWEEN :batch_start AND :batch_end", /ONLY leaves out/],
    [
      "WITH b AS (SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end LIMIT 5) UPDATE users SET n = 1 FROM b WHERE b.id = users.id",
      /LIMIT leaves out/,
    ],
    [
      "WITH b AS (SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end FOR UPDATE SKIP LOCKED) UPDATE users SET n = 1 FROM b WHERE b.id = users.id",
      /SKIP LOCKED leaves out/,
    ],
    [
      "WITH b AS (SELECT id FROM users WHERE id BETWEEN :batch_start AND :batch_end), c AS (SELECT id FROM b LIMIT 5) UPDATE users SET n = 1 FROM c WHERE c.id = users.id",
      /LIMIT leaves out/,
    ],
    [
      "DELETE FROM users WHERE id BETWEEN :batch_start AND :batch_end AND id IN (SELECT id FROM users ORDER BY n LIMIT 10)",
      /LIMIT leaves out/,
    ],
    ["UPDATE users SET WHERE", /7_fill\.up\.sql:2:\d+/],
  ])("is refused as %s", async (statement, message, table = "users") => {
    const [first] = await batchProblems(file(statement, `-- ops: batch table=${table} key=id`));
    expect(first?.message).toMatch(message);
    expect(first?.hint).not.toBe("");
  });

  test("cannot be transaction=none too", async () => {
    const both = file(
      "UPDATE users SET n = 1 WHERE id BETWEEN :batch_start AND :batch_end",
      "-- ops: transaction=none\n-- ops: batch table=users key=id",
    );
    expect(await batchProblems(both)).toMatchObject([
      { message: expect.stringContaining("transaction=none") },
    ]);
  });
});

describe("the size of the next batch", () => {
  test("follows the time target, at most twice and at least half as many rows", () => {
    expect(nextSize(1000, 250, 500)).toBe(2000);
    expect(nextSize(1000, 50, 500)).toBe(2000);
    expect(nextSize(1000, 625, 500)).toBe(800);
    expect(nextSize(1000, 60_000, 500)).toBe(500);
  });

  test("never goes below ten rows, except where the file asks for less", () => {
    expect(nextSize(12, 60_000, 500)).toBe(10);
    expect(nextSize(4, 60_000, 500)).toBe(4);
  });
});
