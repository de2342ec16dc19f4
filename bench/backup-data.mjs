/* The data that backups are measured with: pgbench's accounts, and rows of text that compress as prose does. */
import { spawnSync } from "node:child_process";
import pg from "pg";

/** @typedef {{ scale: number, notes: number }} Size scale of pgbench (15 MB each), rows of text (250 bytes each) */

/** Twenty thousand phrases of ten words, the words from PostgreSQL's own descriptions; three of them are a note. */
const phrases = `
  CREATE TEMPORARY TABLE phrases AS
  WITH words AS (
    SELECT row_number() OVER (ORDER BY word) - 1 AS id, word
      FROM (SELECT DISTINCT unnest(regexp_split_to_array(description, '\\W+')) AS word FROM pg_description) AS each),
  picks AS (
    SELECT phrase, abs(hashint8(phrase * 10 + place)::bigint) % (SELECT count(*) FROM words) AS id
      FROM generate_series(0, 19999) AS phrase, generate_series(1, 10) AS place)
  SELECT phrase AS id, string_agg(word, ' ') AS text FROM picks JOIN words USING (id) GROUP BY phrase`;

/** @param {number} count */
const notes = (count) => `
  CREATE TABLE notes AS
  SELECT n AS id, 'author ' || abs(hashint8(n)::bigint) % 5000 AS author, timestamp '2020-01-01' + n * interval '41 s' AS written,
         a.text || ', ' || b.text || '; ' || c.text || '.' AS body
    FROM generate_series(1, ${count}::bigint) AS n
    JOIN phrases a ON a.id = abs(hashint8(n * 3)::bigint) % 20000
    JOIN phrases b ON b.id = abs(hashint8(n * 3 + 1)::bigint) % 20000
    JOIN phrases c ON c.id = abs(hashint8(n * 3 + 2)::bigint) % 20000
   ORDER BY n`;

/**
 * Fills an empty database. Scale 60 and three million notes are about 1.7 GB.
 *
 * @param {string} url @param {Size} size
 */
export async function fill(url, size) {
  const pgbench = ["--initialize", "--quiet", "--foreign-keys", `--scale=${size.scale}`, url];
  const { status, stderr } = spawnSync("pgbench", pgbench, { encoding: "utf8" });
  if (status !== 0) throw new Error(`pgbench ended with ${status}: ${stderr}`);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(phrases);
    await client.query(notes(size.notes));
    await client.query("ALTER TABLE notes ADD PRIMARY KEY (id)");
    await client.query("CREATE INDEX notes_by_author ON notes (author, written)");
    await client.query("VACUUM (ANALYZE)");
    await client.query("CHECKPOINT");
  } finally {
    await client.end();
  }
}

/**
 * What must be in a restored database: the number of rows of each table, and the indexes and constraints.
 *
 * @param {string} url
 */
export async function fingerprint(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query(`
      SELECT (SELECT count(*) FROM pgbench_accounts) AS accounts, (SELECT count(*) FROM pgbench_branches) AS branches,
             (SELECT count(*) FROM notes) AS notes, (SELECT sum(length(body)) FROM notes) AS letters,
             (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public') AS indexes,
             (SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace) AS constraints`);
    return JSON.stringify(rows[0]);
  } finally {
    await client.end();
  }
}
