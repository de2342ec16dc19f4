/* The tools, each with its own folder and as a user of it would run it: no daemon, no warm process. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {{ directory: string, url: string, port: number }} Place where the folders are, and the database
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} folder
 * @property {(place: Place) => readonly string[]} up
 * @property {boolean} noop whether it remembers what it applied
 * @property {((place: Place) => readonly string[]) | undefined} [status]
 * @property {(place: Place) => Record<string, string>} env
 */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const platform = `${process.platform}-${process.arch}`;
const dbmate = createRequire(createRequire(import.meta.url).resolve("dbmate")).resolve(
  `@dbmate/${platform}/bin/dbmate`,
);

/** @type {string[]} */
let psqlFiles = [];

/** @type {readonly Tool[]} */
export const tools = [
  {
    name: "ops",
    folder: "ops",
    up: () => [process.execPath, here("../bin/ops"), "migrate", "up"],
    status: () => [process.execPath, here("../bin/ops"), "migrate", "status"],
    noop: true,
    env: ({ url }) => ({ OPS_CONFIG: ".opsrc", BENCH_URL: url }),
  },
  {
    // The limit: one session, no history, each statement a transaction.
    name: "psql",
    folder: "ops/migrations",
    up: ({ url }) => ["psql", "-q", "-X", url, ...psqlFiles.flatMap((each) => ["-f", each])],
    noop: false,
    env: () => ({}),
  },
  {
    name: "node-pg-migrate",
    folder: "node-pg-migrate",
    up: () => [process.execPath, here("node_modules/node-pg-migrate/bin/node-pg-migrate.js"), "up"],
    noop: true,
    env: ({ url }) => ({ DATABASE_URL: url }),
  },
  {
    name: "dbmate",
    folder: "dbmate",
    up: () => [dbmate, "--no-dump-schema", "migrate"],
    status: () => [dbmate, "status"],
    noop: true,
    env: ({ url }) => ({ DATABASE_URL: `${url}?sslmode=disable`, DBMATE_MIGRATIONS_DIR: "." }),
  },
  {
    // As npm starts it: a Node that starts the binary.
    name: "dbmate by npm",
    folder: "dbmate",
    up: () => [process.execPath, here("node_modules/dbmate/dist/cli.js"), "--no-dump-schema", "migrate"],
    status: () => [process.execPath, here("node_modules/dbmate/dist/cli.js"), "status"],
    noop: true,
    env: ({ url }) => ({ DATABASE_URL: `${url}?sslmode=disable`, DBMATE_MIGRATIONS_DIR: "." }),
  },
  {
    name: "graphile-migrate",
    folder: "graphile-migrate",
    up: () => [process.execPath, here("node_modules/graphile-migrate/dist/cli.js"), "migrate"],
    status: () => [process.execPath, here("node_modules/graphile-migrate/dist/cli.js"), "status"],
    noop: true,
    env: ({ url }) => ({
      DATABASE_URL: url,
      SHADOW_DATABASE_URL: `${url}_shadow`,
      ROOT_DATABASE_URL: `${url}_root`,
    }),
  },
];

/** The same tables for every tool. @param {string} directory @param {number} count */
export async function writeFolders(directory, count) {
  const names = Array.from({ length: count }, (_, n) => String(n + 1).padStart(4, "0"));
  const table = (/** @type {string} */ name) =>
    `CREATE TABLE t${name} (id bigint PRIMARY KEY, name text NOT NULL);\n`;
  const folder = async (/** @type {string} */ path, /** @type {[string, string][]} */ files) => {
    await mkdir(join(directory, path), { recursive: true });
    for (const [name, text] of files) await writeFile(join(directory, path, name), text);
  };
  await folder(
    "ops/migrations",
    names.flatMap((each) => [
      [`${each}_t${each}.up.sql`, table(each)],
      [`${each}_t${each}.down.sql`, `DROP TABLE t${each};\n`],
    ]),
  );
  await folder("ops", [
    [".opsrc", "environments:\n  dev:\n    databases:\n      main: { url: env:BENCH_URL }\n"],
  ]);
  psqlFiles = names.map((each) => `${each}_t${each}.up.sql`);
  await folder(
    "node-pg-migrate/migrations",
    names.map((each) => [
      `${each}_t${each}.sql`,
      `-- Up Migration\n${table(each)}\n-- Down Migration\nDROP TABLE t${each};\n`,
    ]),
  );
  await folder(
    "dbmate",
    names.map((each) => [
      `${each}_t${each}.sql`,
      `-- migrate:up\n${table(each)}\n-- migrate:down\nDROP TABLE t${each};\n`,
    ]),
  );
  /** @type {[string, string][]} */
  const committed = [];
  let previous = "";
  for (const each of names) {
    const hash = `sha1:${createHash("sha1")
      .update(`${`${previous}\n${table(each).trim()}`.trim()}\n`)
      .digest("hex")}`;
    committed.push([
      `00${each}.sql`,
      `--! Previous: ${previous === "" ? "-" : previous}\n--! Hash: ${hash}\n\n${table(each)}`,
    ]);
    previous = hash;
  }
  await folder("graphile-migrate/migrations/committed", committed);
  await folder("graphile-migrate/migrations", [["current.sql", "-- nothing\n"]]);
  await folder("graphile-migrate", [[".gmrc", "{}\n"]]);
}
