#!/usr/bin/env node
/*
 * Flags in a process: how many evaluations a second, and how long 10,000 flags take to load. Measured is the processor
 * time of the thread: on a machine of its own that is the time that passes.
 *
 *   npm run bench:flags [-- --rounds 7] [--check]
 *
 * --check: exit 1 where a goal is missed.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Evaluator } from "../src/flag-source/evaluator.ts";
import { openFlagSource } from "../src/flag-source/open-source.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, check: { type: "boolean", default: false } },
});
const rounds = Number(values.rounds);
const evaluations = 300_000;
const count = 10_000;

const plain = { state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "off" };
const share = {
  fractional: [
    ["on", 10],
    ["off", 90],
  ],
};
const listed = {
  if: [
    { in: [{ var: "targetingKey" }, ["4711"]] },
    "off",
    { in: [{ var: "customer" }, ["acme", "globex"]] },
    "on",
    share,
  ],
};
const kinds = {
  "no rules": plain,
  "a share": { ...plain, targeting: share },
  "two lists and a share": { ...plain, targeting: listed },
};

/** Milliseconds that this thread has had a processor. */
function cpuTime() {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** @param {number[]} all */
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;

/** Each kind in turn, so that a disturbance hits all of them. */
async function speeds() {
  const folder = await mkdtemp(join(tmpdir(), "ops-bench-flags-"));
  try {
    const set = await sourceOf(folder, { flags: kinds }).read();
    const evaluator = new Evaluator(set);
    const users = Array.from({ length: 1000 }, (_, n) => ({
      targetingKey: `user-${n}`,
      customer: "initech",
    }));
    /** @type {Record<string, number[]>} */
    const found = {};
    for (let round = 0; round <= rounds; round += 1) {
      for (const name of Object.keys(kinds)) {
        const from = cpuTime();
        for (let n = 0; n < evaluations; n += 1) evaluator.evaluate(name, users[n % 1000] ?? {});
        const perSecond = evaluations / ((cpuTime() - from) / 1000);
        if (round > 0) found[name] = [...(found[name] ?? []), perSecond];
      }
    }
    return found;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} folder
 * @param {object} [document]
 */
function sourceOf(folder, document) {
  const file = join(folder, "flags.json");
  const source = openFlagSource(
    { name: "main", driver: "file", file, history: `${file}.history.jsonl` },
    { stateDirectory: join(folder, ".ops"), now: () => new Date(), signal: new AbortController().signal },
  );
  return {
    read: async () => {
      if (document !== undefined) await writeFile(file, JSON.stringify(document, null, 2));
      return source.read();
    },
  };
}

/** Of 10,000 flags with lists and a share: reading them until one is evaluated, loading a change, evaluating each once. */
async function loading() {
  const folder = await mkdtemp(join(tmpdir(), "ops-bench-flags-"));
  try {
    const flags = Object.fromEntries(
      Array.from({ length: count }, (_, n) => [
        `flag-${n}`,
        { ...plain, targeting: listed, metadata: { owner: "shop" } },
      ]),
    );
    await sourceOf(folder, { flags }).read();
    const source = sourceOf(folder);
    /** @type {Record<"first answer" | "a change" | "each once", number[]>} */
    const found = { "first answer": [], "a change": [], "each once": [] };
    for (let round = 0; round <= rounds; round += 1) {
      const times = [cpuTime()];
      const set = await source.read();
      const evaluator = new Evaluator(set);
      evaluator.evaluate("flag-1", { targetingKey: "u" });
      times.push(cpuTime());
      evaluator.load({ ...set, flags: new Map(set.flags) });
      evaluator.evaluate("flag-1", { targetingKey: "u" });
      times.push(cpuTime());
      for (let n = 0; n < count; n += 1) evaluator.evaluate(`flag-${n}`, { targetingKey: "u" });
      times.push(cpuTime());
      if (round === 0) continue;
      for (const [index, name] of /** @type {const} */ (["first answer", "a change", "each once"]).entries())
        found[name].push((times[index + 1] ?? 0) - (times[index] ?? 0));
    }
    return found;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const missed = [];
process.stdout.write(`Node ${process.version}, ${rounds} rounds after 1 to warm up\n\n`);
process.stdout.write("| evaluating | a second, median | goal |\n| --- | --- | --- |\n");
for (const [name, found] of Object.entries(await speeds())) {
  const speed = median(found);
  process.stdout.write(`| ${name} | ${Math.round(speed).toLocaleString("en")} | ≥ 1,000,000 |\n`);
  if (speed < 1_000_000) missed.push(`${name}: ${Math.round(speed)} evaluations a second`);
}
process.stdout.write(`\n| ${count.toLocaleString("en")} flags | median | goal |\n| --- | --- | --- |\n`);
for (const [name, found] of Object.entries(await loading())) {
  const goal = name === "each once" ? "" : "< 1 s";
  process.stdout.write(`| ${name} | ${Math.round(median(found))} ms | ${goal} |\n`);
  if (goal !== "" && median(found) >= 1000) missed.push(`${name}: ${Math.round(median(found))} ms`);
}
if (missed.length > 0) process.stdout.write(`\nmissed: ${missed.join("; ")}\n`);
if (values.check && missed.length > 0) process.exitCode = 1;
