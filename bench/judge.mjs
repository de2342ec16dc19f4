#!/usr/bin/env node
/*
 * How often the judges of a canary are wrong, and how soon they are right, on simulated traffic: the table of
 * bench/README.md. Seeded: the same numbers on every machine.
 *
 *   npm run bench:judge [-- --runs 1000] [--check]
 *
 * --check: exit 1 where a goal is missed.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const launcher = fileURLToPath(new URL("../bin/ops", import.meta.url));

const { values } = parseArgs({
  options: { runs: { type: "string", default: "1000" }, check: { type: "boolean", default: false } },
});

/** Of the new version: requests per second, its share being 10% and then 50%, ten minutes each. */
const canary = ["--steps", "10%,50%", "--bake", "10m", "--learn", "10m"];
/** For how soon: ten minutes at 10%, as a first step is. */
const firstStep = ["--steps", "10%", "--bake", "10m", "--learn", "10m"];

/** @type {{ name: string, args: string[], show: "falseAborts" | "detected", goals?: (found: Figures) => string[] }[]} */
const cells = [
  ...["1", "10", "100"].map((rps) => ({
    name: `false aborts: ${rps} rps, 0.5%`,
    args: [...canary, "--rps", rps, "--error-rate", "0.5%"],
    show: /** @type {const} */ ("falseAborts"),
    goals: (/** @type {Figures} */ found) =>
      found.falseAborts <= 1 ? [] : [`${found.falseAborts}% false aborts at ${rps} rps, goal ≤ 1%`],
  })),
  {
    name: "false aborts: 10 rps, 0.5%, bursts of 5",
    args: [...canary, "--error-rate", "0.5%", "--burst", "5"],
    show: "falseAborts",
    goals: (found) =>
      found.falseAborts <= 2 ? [] : [`${found.falseAborts}% false aborts with bursts, goal ≤ 2%`],
  },
  {
    name: "false aborts: the same, learned for 2 minutes",
    args: [...canary, "--error-rate", "0.5%", "--burst", "5", "--learn", "2m"],
    show: "falseAborts",
  },
  {
    name: "false aborts: 10 rps, an incident of both, ×8",
    args: [...canary, "--error-rate", "0.5%", "--shared-incident", "8"],
    show: "falseAborts",
    goals: (found) =>
      found.falseAborts <= 1 ? [] : [`${found.falseAborts}% false aborts in an incident, goal ≤ 1%`],
  },
  {
    // 10% of all requests: over the limit of abort-when, which asks for no reason.
    name: "false aborts: the same, ×20, over the limit of 5%",
    args: [...canary, "--error-rate", "0.5%", "--shared-incident", "20"],
    show: "falseAborts",
  },
  {
    name: "found: 10 rps, 0.5%, ×5",
    args: [...firstStep, "--error-rate", "0.5%", "--ratio", "5"],
    show: "detected",
    goals: (found) => [
      ...(found.detected >= 99 ? [] : [`${found.detected}% found, goal ≥ 99%`]),
      ...((found.medianSeconds ?? Number.POSITIVE_INFINITY) <= 160
        ? []
        : [`a median of ${found.medianSeconds} s, goal ≤ 160 s`]),
    ],
  },
  ...[
    ["1", "0.5%", "5", "1"],
    ["10", "0.1%", "5", "1"],
    ["10", "0.5%", "2", "1"],
    ["10", "0.5%", "5", "5"],
    ["100", "0.1%", "5", "1"],
  ].map(([rps = "", rate = "", ratio = "", burst = ""]) => ({
    name: `found: ${rps} rps, ${rate}, ×${ratio}${burst === "1" ? "" : `, bursts of ${burst}`}`,
    args: [...firstStep, "--rps", rps, "--error-rate", rate, "--ratio", ratio, "--burst", burst],
    show: /** @type {const} */ ("detected"),
  })),
  {
    name: "false aborts: 10 rps, request times known",
    args: [...canary, "--ratio", "1", "--slower", "1"],
    show: "falseAborts",
    goals: (found) =>
      found.falseAborts <= 1 ? [] : [`${found.falseAborts}% false aborts with request times, goal ≤ 1%`],
  },
  // A p95 of 200 ms, and 10 ms that nobody notices: 4.4% of the old version's requests are slow. Up to twice as many are tolerated.
  ...["1.3", "1.5", "2", "3"].map((slower) => ({
    name: `found: 10 rps, slower by ${slower}`,
    args: [...firstStep, "--ratio", "1", "--slower", slower],
    show: /** @type {const} */ ("detected"),
  })),
];

/**
 * @typedef {{ judge: string, falseAborts: number, detected: number, medianSeconds: number | null }} Figures
 * @param {readonly string[]} args
 * @returns {Figures[]}
 */
function simulate(args) {
  const all = ["traffic", "simulate", "--json", "--runs", values.runs, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...all], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${all.join(" ")} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout).judges;
}

const missed = [];
for (const [index, { name, args, show, goals }] of cells.entries()) {
  const found = simulate(args);
  if (index === 0) {
    console.log(`| ${["traffic", ...found.map((each) => each.judge)].join(" | ")} |`);
    console.log(`| --- |${found.map(() => " ---: |").join("")}`);
  }
  const shown = found.map((each) => {
    const share = `${Number(each[show].toFixed(1))}%`;
    return show === "falseAborts" || each.detected === 0 ? share : `${share} @${each.medianSeconds} s`;
  });
  console.log(`| ${[name, ...shown].join(" | ")} |`);
  const own = found[0];
  if (own !== undefined) missed.push(...(goals?.(own) ?? []));
}
console.log(missed.length === 0 ? "\nevery goal met" : `\nmissed: ${missed.join("; ")}`);
process.exitCode = values.check && missed.length > 0 ? 1 : 0;
