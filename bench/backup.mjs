#!/usr/bin/env node
/*
 * Backups and restores: ops against pg_dump, against pg_dump | zstd | age, and against pgBackRest, of one server.
 *
 *   npm run bench:backup [-- --rounds 3 --scale 60 --notes 3000000 --check]
 *
 * Needs the programs pgbench, zstd, age, pgbackrest and 8 GB of room below --directory (default: the temp folder).
 * --check: exit 1 where a goal is missed.
 */
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { serverBinaries } from "../src/postgres/binaries.ts";
import { startCluster, stopCluster } from "../src/postgres/cluster.ts";
import { serverUser } from "../src/postgres/unprivileged.ts";
import { freePort } from "../src/process/free-port.ts";
import { fill, fingerprint } from "./backup-data.mjs";
import { tools } from "./backup-tools.mjs";
import { measured } from "./measured.mjs";

/** @import { Cost } from "./measured.mjs" */
/** @import { Setting, Tool } from "./backup-tools.mjs" */
/** @typedef {{ tool: Tool, costs: (Cost & { size: number })[] }} Series */

const stock = { backup: "pg_dump | zstd | age", restore: "age | zstd | pg_restore" };
/** Of the drill only its restore counts: the stock pipeline compares nothing. */
const drillRestore = "ops drill, jobs 2";
const goals = [
  { measure: "backup", name: "ops, jobs 1", ratio: 1.05 },
  { measure: "backup", name: "ops, jobs 2", ratio: 1.05 },
  { measure: "restore", name: "ops, jobs 2", ratio: 0.85 },
  { measure: "restore", name: `${drillRestore}: restore`, ratio: 0.7 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    scale: { type: "string", default: "60" },
    notes: { type: "string", default: "3000000" },
    directory: { type: "string", default: tmpdir() },
    check: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);

// Ctrl-C ends the tool that runs, and with it the rounds: the server must be stopped all the same.
process.on("SIGINT", () => undefined);
const directory = await mkdtemp(join(resolve(values.directory), "ops-bench-"));
const user = await serverUser(join(directory, "data"));
const env = { PATH: `${await serverBinaries()}:${process.env.PATH}`, OPS_CONFIG: join(directory, ".opsrc") };
const owned = ["socket", "pgbackrest", "lock", "restored"];
await chmod(directory, 0o755);
for (const name of owned) {
  await mkdir(join(directory, name));
  if (user.owner !== undefined) await chown(join(directory, name), user.owner.uid, user.owner.gid);
}
const cluster = await startCluster({
  directory: join(directory, "data"),
  settings: {
    archive_mode: "on",
    max_wal_size: "4GB",
    shared_buffers: "128MB",
    unix_socket_directories: join(directory, "socket"),
  },
});
try {
  const setting = await prepare();
  await fill(setting.main, { scale: Number(values.scale), notes: Number(values.notes) });
  const wanted = await fingerprint(setting.main);
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}`,
  );
  console.log(
    `database ${databaseSize(setting)} MiB, ${rounds} rounds, load average ${loadavg()[0]?.toFixed(1)} at the start\n`,
  );
  /** @type {Map<Tool, Series>} */
  const all = new Map(tools.map((tool) => [tool, { tool, costs: [] }]));
  for (let round = 0; round < rounds; round += 1) {
    for (const measure of ["backup", "restore"]) {
      // Each round in another order: what slows the machine down for a while slows all of them down.
      const own = tools.filter((each) => each.measure === measure);
      for (const turn of own.keys()) {
        const tool = own[(turn + round) % own.length];
        if (tool === undefined) continue;
        const cost = await runTool(tool, setting, wanted);
        all.get(tool)?.costs.push(cost);
        console.error(`round ${round + 1}, ${measure}: ${tool.name} ${cost.wall.toFixed(1)} s`);
      }
    }
  }
  report([...all.values()]);
} finally {
  await stopCluster(join(directory, "restored", "data"));
  await cluster.stop();
  await rm(directory, { recursive: true, force: true });
}

/** @returns {Promise<Setting>} */
async function prepare() {
  const text = (/** @type {string} */ name, /** @type {string} */ content) =>
    writeFile(join(directory, name), content);
  shell("age-keygen -o identity.txt");
  const recipient = shell("age-keygen -y identity.txt").trim();
  const main = cluster.url("main");
  const store = (/** @type {number} */ jobs) =>
    `  jobs-${jobs}: { url: "file:store-${jobs}", recipients: [${recipient}], identity: "file:identity.txt" }\n`;
  await text(".opsrc", `databases:\n  main: { url: "${main}" }\nstores:\n${store(1)}${store(2)}`);
  await text(
    "pgbackrest.conf",
    `[global]
repo1-path=${directory}/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=benchmark
repo1-retention-full=1
compress-type=zst
compress-level=3
process-max=2
start-fast=y
lock-path=${directory}/lock
log-level-console=warn
log-level-file=off
[bench]
pg1-path=${directory}/data
pg1-port=${cluster.port}
pg1-socket-path=${directory}/socket
pg1-user=postgres
`,
  );
  const postgres = cluster.url("postgres");
  shell(
    `psql -qX ${postgres} -c "CREATE DATABASE main" -c "ALTER SYSTEM SET archive_command = 'true'" -c "SELECT pg_reload_conf()"`,
  );
  return { main, postgres, recipient, asServer: user.prefix.join(" "), secondPort: await freePort() };
}

/** @param {string} script */
function shell(script) {
  return execFileSync("bash", ["-c", script], {
    cwd: directory,
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** @param {Tool} tool @param {Setting} setting @param {string} wanted */
async function runTool(tool, setting, wanted) {
  if (tool.before !== undefined) shell(tool.before(setting));
  const cost = await measured(tool.name, tool.script(setting), { cwd: directory, env });
  await check(tool, setting, wanted, cost.stdout);
  if (tool.after !== undefined) shell(tool.after(setting));
  const size =
    tool.result === undefined ? 0 : Number(shell(`du -sb ${tool.result}`).split("\t")[0]) / 1024 ** 2;
  return { ...cost, size };
}

/** Throws where not everything was restored. @param {Tool} tool @param {Setting} setting @param {string} wanted @param {string} stdout */
async function check(tool, setting, wanted, stdout) {
  if (tool.checked === "report") {
    if (!/"verdict": *"pass"/.test(stdout)) throw new Error(`${tool.name} did not pass: ${stdout}`);
    return;
  }
  if (tool.checked === undefined) return;
  const url =
    tool.checked === "database"
      ? cluster.url("restored")
      : setting.main.replace(`:${cluster.port}/`, `:${setting.secondPort}/`);
  const found = await fingerprint(url);
  if (found !== wanted) throw new Error(`${tool.name} restored ${found} instead of ${wanted}`);
}

/** @param {Setting} setting */
function databaseSize({ main }) {
  return Math.round(
    Number(shell(`psql -AtX ${main} -c "SELECT pg_database_size(current_database())"`)) / 1024 ** 2,
  );
}

/** @param {readonly Series[]} all */
function report(all) {
  const missed = [];
  for (const measure of /** @type {const} */ (["backup", "restore"])) {
    const rows = all
      .filter(({ tool }) => tool.measure === measure)
      .flatMap(({ tool, costs }) => [
        { name: tool.name, costs, wall: costs.map((each) => each.wall) },
        ...(tool.name === drillRestore
          ? [{ name: `${tool.name}: restore`, costs, wall: costs.map(restoreSeconds) }]
          : []),
      ]);
    const reference = median(rows.find(({ name }) => name === stock[measure])?.wall ?? []);
    console.log(
      `| ${measure} | wall, median (range) | ratio | CPU of the client | and of the server | peak MiB | result MiB | cores used | cores busy |`,
    );
    console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (const { name, costs, wall } of rows) {
      const middle = (/** @type {"client" | "server" | "peak" | "size" | "own" | "busy"} */ key) =>
        median(costs.map((each) => each[key]));
      const range = `${Math.min(...wall).toFixed(1)}–${Math.max(...wall).toFixed(1)}`;
      const shares = [middle("own"), middle("busy")].map((each) => `${Math.round(each * 100)} %`).join(" | ");
      const size = middle("size") === 0 ? "" : middle("size").toFixed(0);
      console.log(
        `| ${name.replaceAll("|", "\\|")} | ${median(wall).toFixed(1)} s (${range}) | ${(median(wall) / reference).toFixed(2)} | ` +
          `${middle("client").toFixed(1)} s | ${middle("server").toFixed(1)} s | ${middle("peak").toFixed(0)} | ${size} | ${shares} |`,
      );
    }
    console.log();
    for (const goal of goals.filter((each) => each.measure === measure)) {
      const is = median(rows.find(({ name }) => name === goal.name)?.wall ?? []) / reference;
      const verdict = is <= goal.ratio ? "met   " : "missed";
      console.log(
        `${verdict} ${measure}: ${goal.name} takes ${is.toFixed(2)} of the stock pipeline, goal ≤ ${goal.ratio}`,
      );
      if (!(is <= goal.ratio)) missed.push(goal);
    }
    console.log();
  }
  console.log(`load average ${loadavg()[0]?.toFixed(1)} at the end`);
  if (values.check && missed.length > 0) process.exitCode = 1;
}

/** What the drill says of its restore alone. @param {Cost} cost */
function restoreSeconds({ stdout }) {
  return Number(/"restoreMs": *(\d+)/.exec(stdout)?.[1]) / 1000;
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}
