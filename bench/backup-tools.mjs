/* What backs up and restores, each as its manual says. Scripts run in the benchmark's folder. */
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Setting
 * @property {string} main URL of the database that is backed up
 * @property {string} postgres URL of the same server's database `postgres`
 * @property {string} recipient of age
 * @property {string} asServer how a shell starts a program as the user of the server
 * @property {number} secondPort where the server listens that pgBackRest restored
 *
 * @typedef {object} Tool
 * @property {string} name
 * @property {"backup" | "restore"} measure
 * @property {(setting: Setting) => string} script what is measured
 * @property {(setting: Setting) => string} [before]
 * @property {(setting: Setting) => string} [after]
 * @property {string} [result] the file or folder whose size counts
 * @property {"database" | "server" | "report"} [checked] where to look for what was restored; `report`: ops has looked
 */

const ops = `${process.execPath} ${fileURLToPath(new URL("../bin/ops", import.meta.url))}`;

/** @type {(setting: Setting) => string} */
const pgBackRest = ({ asServer }) => `${asServer} pgbackrest --config=$PWD/pgbackrest.conf --stanza=bench`;

/** Each WAL segment goes through it, so it works only while pgBackRest is measured. */
/** @type {(setting: Setting, command: string) => string} */
const archiveBy = ({ postgres }, command) =>
  `psql -qX ${postgres} -c "ALTER SYSTEM SET archive_command = '${command}'" -c "SELECT pg_reload_conf()" > psql.out`;

/** @type {(setting: Setting) => string} */
const dropRestored = ({ postgres }) =>
  `psql -qX ${postgres} -c "DROP DATABASE IF EXISTS restored WITH (FORCE)" -c CHECKPOINT`;

/** @type {(jobs: number) => Tool} */
const opsBackup = (jobs) => ({
  name: `ops, jobs ${jobs}`,
  measure: "backup",
  before: () => `rm -rf store-${jobs}`,
  script: () => `${ops} backup create --database main --store jobs-${jobs} --jobs ${jobs}`,
  result: `store-${jobs}`,
});

/** @type {(jobs: number) => Tool} */
const opsRestore = (jobs) => ({
  name: `ops, jobs ${jobs}`,
  measure: "restore",
  before: dropRestored,
  script: () =>
    `${ops} backup restore latest --database main --store jobs-${jobs} --into restored --jobs ${jobs}`,
  checked: "database",
});

/** @type {(jobs: number) => Tool} */
const opsDrill = (jobs) => ({
  name: `ops drill, jobs ${jobs}`,
  measure: "restore",
  script: () =>
    `${ops} backup verify latest --database main --store jobs-${jobs} --level drill --jobs ${jobs} --json`,
  checked: "report",
});

/** In the order of the table; those that restore use what was backed up before. @type {readonly Tool[]} */
export const tools = [
  {
    name: "pg_dump | zstd | age",
    measure: "backup",
    script: ({ main, recipient }) =>
      `pg_dump -Fc -Z0 ${main} | zstd -q -3 -T2 | age -r ${recipient} > stock.dump.zst.age`,
    result: "stock.dump.zst.age",
  },
  opsBackup(1),
  opsBackup(2),
  {
    name: "pg_dump -Fc",
    measure: "backup",
    script: ({ main }) => `pg_dump -Fc ${main} > plain.dump`,
    result: "plain.dump",
  },
  {
    name: "pgBackRest",
    measure: "backup",
    before: (setting) =>
      `rm -rf pgbackrest/* && ${pgBackRest(setting)} stanza-create && ` +
      archiveBy(setting, "pgbackrest --config=$PWD/pgbackrest.conf --stanza=bench archive-push %p"),
    script: (setting) => `${pgBackRest(setting)} --type=full backup`,
    after: (setting) => archiveBy(setting, "true"),
    result: "pgbackrest/backup",
  },
  {
    name: "age | zstd | pg_restore",
    measure: "restore",
    before: (setting) => `${dropRestored(setting)} -c "CREATE DATABASE restored"`,
    script: ({ postgres }) =>
      `age -d -i identity.txt stock.dump.zst.age | zstd -dq | pg_restore --exit-on-error -d ${postgres.replace(/postgres$/, "restored")}`,
    checked: "database",
  },
  opsRestore(1),
  opsRestore(2),
  opsDrill(1),
  opsDrill(2),
  {
    name: "pgBackRest, started",
    measure: "restore",
    before: () => "rm -rf restored/data",
    script: (setting) =>
      `${pgBackRest(setting)} --pg1-path=$PWD/restored/data --archive-mode=off restore && ${startRestored(setting)}`,
    after: ({ asServer }) => `${asServer} pg_ctl stop -s -m immediate -D restored/data`,
    checked: "server",
  },
];

/** @type {(setting: Setting) => string} */
function startRestored({ asServer, secondPort }) {
  const options = `-c port=${secondPort} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c logging_collector=off`;
  return `${asServer} pg_ctl start -s -w -t 600 -D restored/data -l restored/log -o '${options}' 3>&-`;
}
