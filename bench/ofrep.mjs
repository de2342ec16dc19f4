#!/usr/bin/env node
/*
 * Flags over HTTP: evaluations a second and response times of `ops flag serve`, asked by wrk over 16 connections for one
 * flag with a share, in turns with a server that answers the same bytes and does nothing else.
 *
 *   npm run build && npm run bench:ofrep [-- --rounds 5] [--check]
 *
 * --check: exit 1 where a goal is missed.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, check: { type: "boolean", default: false } },
});
const rounds = Number(values.rounds);
const seconds = 5;
const goals = { perSecond: 5000, p99: 10 };
const path = "/ofrep/v1/evaluate/flags/checkout";

const ask = `
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local user = 0
request = function()
  user = user + 1
  return wrk.format(nil, nil, nil, '{"context":{"targetingKey":"user-' .. user % 1000 .. '"}}')
end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout
  io.write(string.format('{"requests":%d,"us":%d,"p99us":%d,"bad":%d}', summary.requests, summary.duration, latency:percentile(99), bad))
end
`;

const flag = {
  state: "ENABLED",
  variants: { on: true, off: false },
  defaultVariant: "off",
  targeting: {
    fractional: [
      ["on", 10],
      ["off", 90],
    ],
  },
};

/** @param {string} script @param {string} url */
async function measured(script, url) {
  const { stdout } = await promisify(execFile)("wrk", ["-t1", "-c16", `-d${seconds}s`, "-s", script, url]);
  const { requests, us, p99us, bad } = JSON.parse(stdout.slice(stdout.lastIndexOf("{")));
  if (bad > 0) throw new Error(`${bad} requests of ${requests} were not answered`);
  return { perSecond: requests / (us / 1e6), p99: p99us / 1000 };
}

/** @param {number[]} all */
function summary(all) {
  const sorted = all.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, min: sorted[0], max: sorted.at(-1) };
}

const folder = await mkdtemp(join(tmpdir(), "ops-bench-ofrep-"));
await writeFile(join(folder, "flags.json"), JSON.stringify({ flags: { checkout: flag } }));
await writeFile(join(folder, ".opsrc"), "flag-sources: { main: { file: flags.json } }\n");
const script = join(folder, "ask.lua");
await writeFile(script, ask);
const launcher = new URL("../bin/launcher.mjs", import.meta.url).pathname;
const served = spawn(process.execPath, [launcher, "flag", "serve", "--listen", "127.0.0.1:0"], {
  cwd: folder,
  stdio: ["ignore", "ignore", "pipe"],
});
const bare = createServer((request, response) => {
  request.resume().on("end", () => {
    response.setHeader("content-type", "application/json");
    response.end('{"key":"checkout","reason":"TARGETING_MATCH","value":false,"variant":"off"}');
  });
});
try {
  let said = "";
  while (!/on http:\S+/.test(said)) said += String((await once(served.stderr, "data"))[0]);
  const url = `${/on (http:\S+)/.exec(said)?.[1]}${path}`;
  bare.listen(0, "127.0.0.1");
  await once(bare, "listening");
  const address = bare.address();
  const bareUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}${path}`;
  /** @type {{ [who: string]: { perSecond: number[], p99: number[] } }} */
  const found = {
    "ops flag serve": { perSecond: [], p99: [] },
    "Node's http alone": { perSecond: [], p99: [] },
  };
  for (let round = 0; round <= rounds; round += 1) {
    for (const [who, where] of [
      ["ops flag serve", url],
      ["Node's http alone", bareUrl],
    ]) {
      const { perSecond, p99 } = await measured(script, where ?? "");
      if (round === 0) continue;
      found[who ?? ""]?.perSecond.push(perSecond);
      found[who ?? ""]?.p99.push(p99);
    }
  }
  for (const [who, { perSecond, p99 }] of Object.entries(found)) {
    const [speed, slow] = [summary(perSecond), summary(p99)];
    console.log(
      `${who}: ${Math.round(speed.median)} evaluations/s (${Math.round(speed.min ?? 0)} to ${Math.round(speed.max ?? 0)}), p99 ${slow.median.toFixed(1)} ms (${slow.min?.toFixed(1)} to ${slow.max?.toFixed(1)})`,
    );
  }
  const own = found["ops flag serve"];
  const reached =
    summary(own?.perSecond ?? []).median >= goals.perSecond && summary(own?.p99 ?? []).median < goals.p99;
  console.log(
    `goals: ${goals.perSecond} evaluations/s, p99 below ${goals.p99} ms: ${reached ? "met" : "missed"}`,
  );
  if (values.check && !reached) process.exitCode = 1;
} finally {
  served.kill();
  bare.close();
  bare.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
}
