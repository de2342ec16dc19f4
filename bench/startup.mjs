#!/usr/bin/env node
/*
 * How long the command takes to start, as a ratio to `node -e 0` on the same machine in the same minute.
 *
 *   npm run bench:startup [-- --rounds 40] [--check]
 *
 * --check: exit 1 where a goal is missed.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const launcher = fileURLToPath(new URL("../bin/ops", import.meta.url));

/** The largest ratio to `node -e 0` that is good enough. @type {{ name: string, args: string[], goal: number }[]} */
const subjects = [
  { name: "node -e 0", args: ["-e", "0"], goal: 1 },
  { name: "ops --version", args: [launcher, "--version"], goal: 2 },
  { name: "ops --help", args: [launcher, "--help"], goal: 3 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "40" },
    check: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const warmUp = 5;

/** @param {string[]} args @returns {number} milliseconds */
function measure(args) {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const took = performance.now() - started;
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stderr}`);
  return took;
}

/** @param {readonly number[]} sorted @param {number} share 0 to 1 @returns {number} */
function quantile(sorted, share) {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** @type {number[][]} */
const times = subjects.map(() => []);
// Interleaved: what slows the machine down for a while slows all of them down.
for (let round = -warmUp; round < rounds; round += 1) {
  for (const [index, { args }] of subjects.entries()) {
    const took = measure(args);
    if (round >= 0) times[index]?.push(took);
  }
}

const results = subjects.map(({ name, goal }, index) => {
  const sorted = (times[index] ?? []).toSorted((a, b) => a - b);
  return {
    name,
    goal,
    median: quantile(sorted, 0.5),
    low: quantile(sorted, 0.25),
    high: quantile(sorted, 0.75),
  };
});
const base = results[0]?.median ?? Number.NaN;
console.log(`Node ${process.version}, ${rounds} rounds after ${warmUp} to warm up\n`);
console.log("| command       | median   | quartiles        | ratio | goal   |");
console.log("| ------------- | -------- | ---------------- | ----- | ------ |");
for (const { name, goal, median, low, high } of results) {
  const quartiles = `${low.toFixed(1)}–${high.toFixed(1)} ms`;
  const wanted = goal === 1 ? "" : `≤ ${goal.toFixed(1)}`;
  console.log(
    `| ${name.padEnd(13)} | ${`${median.toFixed(1)} ms`.padEnd(8)} | ${quartiles.padEnd(16)} | ${(median / base).toFixed(2).padEnd(5)} | ${wanted.padEnd(6)} |`,
  );
}
const missed = results.filter(({ goal, median }) => goal > 1 && median / base > goal);
if (missed.length > 0) console.log(`\nmissed: ${missed.map(({ name }) => name).join(", ")}`);
if (values.check && missed.length > 0) process.exitCode = 1;
