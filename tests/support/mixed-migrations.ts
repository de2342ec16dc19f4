import pg from "pg";
import type { Project } from "../integration/migrate/project.ts";
import { dumpSchema } from "./migration-folders.ts";

/**
 * Files of every kind: in a transaction, statement by statement, in batches. A statement that runs twice, or not at
 * all, leaves another sum.
 */
export const mixed = {
  "0001_orders.up.sql": `CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL, state text);
CREATE TABLE tally (file int, runs int);
INSERT INTO orders SELECT n, n, 'new' FROM generate_series(1, 60) AS n;
INSERT INTO tally VALUES (1, 1);`,
  "0001_orders.down.sql": "DROP TABLE tally;\nDROP TABLE orders;",
  "0002_indexes.up.sql": `-- ops: transaction=none
CREATE INDEX CONCURRENTLY orders_total ON orders (total);
INSERT INTO tally VALUES (2, 1);
CREATE UNIQUE INDEX CONCURRENTLY orders_state ON orders (id, state);
UPDATE tally SET runs = runs + 1 WHERE file = 2;
ALTER TABLE orders ADD COLUMN note text DEFAULT 'x;y';
DROP INDEX CONCURRENTLY orders_total;
UPDATE orders SET total = total * 2;`,
  "0002_indexes.down.sql": `-- ops: transaction=none
ALTER TABLE orders DROP COLUMN note;
UPDATE orders SET total = total / 2;
DELETE FROM tally WHERE file = 2;
DROP INDEX CONCURRENTLY orders_state;`,
  "0003_backfill.up.sql": `-- ops: batch table=orders key=id size=20
UPDATE orders SET total = total + 1 WHERE id BETWEEN :batch_start AND :batch_end;`,
  "0003_backfill.down.sql": "UPDATE orders SET total = total - 1;",
  "0004_states.up.sql": `CREATE TYPE mood AS ENUM ('fine');
ALTER TABLE tally ADD COLUMN mood mood;
INSERT INTO tally VALUES (4, 1, 'fine');`,
  "0004_states.down.sql":
    "DELETE FROM tally WHERE file = 4;\nALTER TABLE tally DROP COLUMN mood;\nDROP TYPE mood;",
  "0005_more_states.up.sql": `ALTER TYPE mood ADD VALUE 'tired';
INSERT INTO tally VALUES (5, 1, 'tired');
VACUUM orders;
UPDATE tally SET runs = runs + 10;`,
  "0006_function.up.sql": `CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT sum(o.total) FROM orders AS o); -- one; two
END $$;
INSERT INTO tally SELECT 6, total();`,
};

/** All that a run leaves: the application's schema and rows, the history without its times, and nothing half done. */
export async function remains(project: Project): Promise<object> {
  const client = new pg.Client({ connectionString: project.url });
  await client.connect();
  try {
    const history = await client.query("SELECT version, name, checksum FROM ops.migration ORDER BY version");
    const invalid = await client.query(
      "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid",
    );
    const progress = await client.query("SELECT version, done, total FROM ops.migration_progress");
    return {
      schema: await dumpSchema(project.url),
      rows: await rowsOf(client),
      history: history.rows,
      invalidIndexes: invalid.rows,
      halfDone: progress.rows,
    };
  } finally {
    await client.end();
  }
}

/** For each table how many rows, and a digest of them whatever their order is: where they lie says nothing. */
async function rowsOf(client: pg.Client): Promise<Record<string, string>> {
  const tables = await client.query<{ name: string }>(
    "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
  );
  const all: Record<string, string> = {};
  for (const { name } of tables.rows) {
    const { rows } = await client.query<{ summary: string }>(
      `SELECT count(*) || ' rows ' || coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') AS summary FROM ${name} AS t`,
    );
    all[name] = rows[0]?.summary ?? "";
  }
  return all;
}
