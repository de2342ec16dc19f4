/* What makes base backups, archives WAL and restores, each as its manual says. Scripts run in the benchmark's folder. */
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Setting
 * @property {string} folder of the benchmark
 * @property {string} url of the server's database `main`
 * @property {string} recipient of age
 * @property {string} asServer how a shell starts a program as the user of the server
 *
 * @typedef {object} Tool
 * @property {string} name
 * @property {(setting: Setting) => string} reset makes its repository anew, and empty
 * @property {(setting: Setting) => string} base makes a base backup
 * @property {(setting: Setting) => string} restore the newest base backup, into restored/data, without a server
 * @property {(setting: Setting) => string} [archiveCommand] of the server; where absent, it archives nothing
 * @property {string} result the folder whose size counts
 */

const ops = `OPS_NODE=${process.execPath} ${fileURLToPath(new URL("../bin/ops", import.meta.url))}`;

/** @type {(setting: Setting) => string} */
const opsConfiguration = ({ folder }) => `--database main --config ${folder}/.opsrc`;

/** @type {(setting: Setting) => string} */
const pgBackRest = ({ folder }) => `pgbackrest --config=${folder}/pgbackrest.conf --stanza=bench`;

/** @type {readonly Tool[]} */
export const tools = [
  {
    name: "pgBackRest",
    reset: (setting) =>
      `rm -rf pgbackrest/* spool/* && ${setting.asServer} ${pgBackRest(setting)} --log-level-console=error stanza-create`,
    base: (setting) => `${setting.asServer} ${pgBackRest(setting)} --type=full backup`,
    restore: (setting) =>
      `${setting.asServer} ${pgBackRest(setting)} --pg1-path=$PWD/restored/data --archive-mode=off restore`,
    archiveCommand: (setting) => `${pgBackRest(setting)} archive-push %p`,
    result: "pgbackrest/backup",
  },
  {
    name: "ops",
    reset: () => "rm -rf store/* data/pg_wal/ops-spool .ops/archives",
    base: (setting) => `${setting.asServer} env ${ops} pitr base create ${opsConfiguration(setting)}`,
    restore: (setting) =>
      `${setting.asServer} env ${ops} pitr restore --latest --target-dir $PWD/restored/data ${opsConfiguration(setting)}`,
    archiveCommand: (setting) => `${ops} wal push %p ${opsConfiguration(setting)}`,
    result: "store/pitr/main/base",
  },
  {
    // What PostgreSQL and two filters do: without checks, without waiting for WAL, and not synced.
    name: "pg_basebackup | zstd | age",
    reset: () => "rm -rf stock/*",
    base: ({ url, recipient }) =>
      `pg_basebackup -d ${url} -Ft -X none -c fast -D - --no-manifest 2> stock.err | zstd -q -3 -T2 | age -r ${recipient} > stock/base.tar.zst.age`,
    restore: ({ asServer }) =>
      `${asServer} mkdir -m 700 restored/data && ` +
      `age -d -i identity.txt stock/base.tar.zst.age | zstd -dq | ${asServer} tar -x -p -C restored/data`,
    result: "stock",
  },
];

/** @param {{ folder: string, port: number }} setting */
export const pgBackRestConfiguration = ({ folder, port }) => `[global]
repo1-path=${folder}/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=benchmark
repo1-retention-full=1
compress-type=zst
compress-level=3
process-max=2
start-fast=y
archive-async=y
archive-get-queue-max=256MiB
spool-path=${folder}/spool
lock-path=${folder}/lock
log-path=${folder}/log
log-level-console=warn
log-level-file=off
[bench]
pg1-path=${folder}/data
pg1-port=${port}
pg1-socket-path=${folder}/socket
pg1-user=postgres
`;

/** @param {{ url: string, recipient: string }} setting */
export const opsConfigurationFile = ({ url, recipient }) => `databases:
  main: { url: "${url}", pitr: { store: local } }
stores:
  local: { url: "file:store", recipients: [${recipient}], identity: "file:identity.txt" }
`;
