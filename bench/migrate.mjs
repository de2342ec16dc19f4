#!/usr/bin/env node
/*
 * Migrations: ops against psql, node-pg-migrate, dbmate and graphile-migrate, on one throw-away server.
 *
 *   npm run bench:migrate [-- --rounds 5 --files 1000 --check]
 *   npm run bench:migrate -- --no-op [--rounds 5]
 *
 * --no-op: everything is applied once, and only what changes nothing is measured: a few minutes.
 * --check: exit 1 where a goal is missed.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { startCluster } from "../src/postgres/cluster.ts";
import { tools, writeFolders } from "./migrate-tools.mjs";

/** @import { Tool, Place } from "./migrate-tools.mjs" */
/** @typedef {{ name: string, measure: string, times: number[] }} Series */

const goals = [
  { measure: "apply", tool: "ops", against: "node-pg-migrate", ratio: 1.0 },
  { measure: "apply", tool: "ops", against: "psql", ratio: 1.1 },
  { measure: "no-op", tool: "ops", against: "dbmate", ratio: 1.5 },
  { measure: "no-op", tool: "ops", against: "dbmate by npm", ratio: 1.5 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    files: { type: "string", default: "1000" },
    check: { type: "boolean", default: false },
    "no-op": { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const files = Number(values.files);
/** Of the measures that change nothing, in one round: they are short. */
const repeats = 5;

// Ctrl-C ends the tool that runs, and with it the rounds: the server must be stopped all the same.
process.on("SIGINT", () => undefined);
const directory = await mkdtemp(join(tmpdir(), "ops-bench-"));
const cluster = await startCluster({ directory: join(directory, "data") });
try {
  await writeFolders(directory, files);
  /** @type {Map<string, Series>} */
  const all = new Map();
  // One round to warm up: compile caches, the server's first checkpoint.
  if (values["no-op"]) await measureNothingToDo(all);
  for (let round = -1; round < rounds && !values["no-op"]; round += 1) {
    // Interleaved and each round in another order: what slows the machine down for a while slows all of them down.
    for (let turn = 0; turn < tools.length; turn += 1) {
      const tool = tools[(turn + round + 1) % tools.length];
      if (tool === undefined) continue;
      await query(cluster.url(), "DROP DATABASE IF EXISTS bench WITH (FORCE)");
      await query(cluster.url(), "CREATE DATABASE bench");
      await query(cluster.url(), "CHECKPOINT");
      for (const [measure, times] of Object.entries(await runTool(tool, round))) {
        const series = all.get(`${measure} ${tool.name}`) ?? { name: tool.name, measure, times: [] };
        if (round >= 0) series.times.push(...times);
        all.set(`${measure} ${tool.name}`, series);
      }
    }
  }
  report([...all.values()]);
} finally {
  await cluster.stop();
  await rm(directory, { recursive: true, force: true });
}

/**
 * A database for each tool, with everything applied; then the tools in turn, one process of each at a time.
 *
 * @param {Map<string, Series>} all
 */
async function measureNothingToDo(all) {
  const remembering = tools.filter((each) => each.noop);
  /** @type {(tool: Tool) => Place} */
  const place = (tool) => {
    // The ways to start one tool share its folder and its database.
    const database = `bench_${tool.folder.replaceAll("-", "_")}`;
    return { directory, url: cluster.url(database), port: cluster.port };
  };
  for (const tool of remembering) {
    if (!remembering.some((each) => each.folder === tool.folder && each.name < tool.name)) {
      await query(cluster.url(), `CREATE DATABASE ${new URL(place(tool).url).pathname.slice(1)}`);
    }
    time(tool, place(tool), tool.up(place(tool)));
  }
  for (let round = -1; round < rounds * repeats; round += 1) {
    for (const tool of remembering) {
      const { status } = tool;
      const measures = { "no-op": tool.up, ...(status !== undefined && { status }) };
      for (const [measure, command] of Object.entries(measures)) {
        const took = time(tool, place(tool), command(place(tool)));
        const series = all.get(`${measure} ${tool.name}`) ?? { name: tool.name, measure, times: [] };
        if (round >= 0) series.times.push(took);
        all.set(`${measure} ${tool.name}`, series);
      }
    }
  }
}

/**
 * From an empty database: apply everything, then what changes nothing.
 *
 * @param {Tool} tool @param {number} round @returns {Promise<Record<string, number[]>>}
 */
async function runTool(tool, round) {
  /** @type {Place} */
  const place = { directory, url: cluster.url("bench"), port: cluster.port };
  /** @type {Record<string, number[]>} */
  const results = { apply: [time(tool, place, tool.up(place))] };
  const client = new pg.Client({ connectionString: place.url });
  await client.connect();
  const { rows } = await client.query(
    "SELECT count(*)::int AS n FROM pg_tables WHERE tablename LIKE 't____'",
  );
  await client.end();
  if (rows[0].n !== files) throw new Error(`${tool.name} made ${rows[0].n} tables instead of ${files}`);
  const times = round < 0 ? 1 : repeats;
  if (tool.noop) results["no-op"] = Array.from({ length: times }, () => time(tool, place, tool.up(place)));
  const { status } = tool;
  if (status !== undefined) {
    results.status = Array.from({ length: times }, () => time(tool, place, status(place)));
  }
  return results;
}

/** @param {string} url @param {string} sql */
async function query(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** @param {Tool} tool @param {Place} place @param {readonly string[]} command @returns {number} milliseconds */
function time(tool, place, [file = "", ...args]) {
  const started = performance.now();
  const { status, stderr } = spawnSync(file, args, {
    cwd: join(directory, tool.folder),
    env: { ...process.env, ...tool.env(place) },
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 100_000_000,
  });
  const took = performance.now() - started;
  if (status !== 0) throw new Error(`${tool.name} ended with ${status}: ${String(stderr).slice(-2000)}`);
  return took;
}

/** @param {readonly Series[]} all */
function report(all) {
  console.log(
    `Node ${process.version}, ${files} files, ${rounds} rounds after one to warm up; no-op and status ${repeats} times in each\n`,
  );
  const missed = [];
  const measured = ["apply", "no-op", "status"].filter((each) => all.some((one) => one.measure === each));
  for (const measure of measured) {
    const shown = all.filter((each) => each.measure === measure);
    const ops = median(shown.find((each) => each.name === "ops")?.times ?? []);
    console.log(`| ${measure.padEnd(16)} | median    | quartiles          | ops takes |`);
    console.log("| ---------------- | --------- | ------------------ | --------- |");
    for (const { name, times } of shown) {
      const quartiles = `${quantile(times, 0.25).toFixed(0)}–${quantile(times, 0.75).toFixed(0)} ms`;
      console.log(
        `| ${name.padEnd(16)} | ${`${median(times).toFixed(0)} ms`.padEnd(9)} | ${quartiles.padEnd(18)} | ${`× ${(ops / median(times)).toFixed(2)}`.padEnd(9)} |`,
      );
    }
    console.log();
  }
  for (const { measure, tool, against, ratio } of goals.filter((each) => measured.includes(each.measure))) {
    const [own, other] = [tool, against].map((name) =>
      median(all.find((each) => each.measure === measure && each.name === name)?.times ?? []),
    );
    const is = (own ?? Number.NaN) / (other ?? Number.NaN);
    console.log(
      `${is <= ratio ? "met   " : "missed"} ${measure}: ${tool} takes ${is.toFixed(2)} of ${against}, goal ≤ ${ratio}`,
    );
    if (!(is <= ratio)) missed.push(measure);
  }
  if (values.check && missed.length > 0) process.exitCode = 1;
}

/** @param {readonly number[]} times */
function median(times) {
  return quantile(times, 0.5);
}

/** @param {readonly number[]} times @param {number} share 0 to 1 @returns {number} */
function quantile(times, share) {
  const sorted = times.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
