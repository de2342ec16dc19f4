#!/usr/bin/env node
/*
 * How much of a server's log would be lost with it while `ops wal receive` runs: the recovery point lag.
 *
 *   npm run bench:receive [-- --rate 10 --seconds 60 --every 2s --below /tmp --check]
 *
 * A writer makes --rate MB of log a second. Every 100 ms the server is asked how far its log is durable on its own disk,
 * and the store is listed: the lag is how long ago the server was where the store is now. Needs `npm run build`.
 * --check: exit 1 where the largest lag misses the goal.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import pg from "pg";
import { startCluster } from "../src/postgres/cluster.ts";
import { serverUser } from "../src/postgres/unprivileged.ts";
import { FileStore } from "../src/storage/file-store.ts";
import { listWal } from "../src/wal-archive/contents.ts";
import { listLive, liveChainOf } from "../src/wal-archive/live-part.ts";
import { parseLsn } from "../src/wal-archive/lsn.ts";
import { endOf, parseSegment, startOf } from "../src/wal-archive/segment.ts";

const segmentBytes = 16 * 2 ** 20;
/** Seconds. */
const goal = 5;
/** Milliseconds between two measurements, and between two writes. */
const interval = 100;
/** Until everything runs evenly, seconds. */
const warmUp = 5;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "10" },
    seconds: { type: "string", default: "60" },
    every: { type: "string", default: "2s" },
    below: { type: "string", default: tmpdir() },
    check: { type: "boolean", default: false },
  },
});
const rate = Number(values.rate) * 1e6;
const seconds = Number(values.seconds);

const folder = await mkdtemp(join(resolve(values.below), "ops-bench-"));
const { owner, prefix } = await serverUser(join(folder, "data"));
await mkdir(join(folder, "store"));
if (owner !== undefined)
  for (const each of [folder, join(folder, "store")]) await chown(each, owner.uid, owner.gid);
const cluster = await startCluster({
  directory: join(folder, "data"),
  settings: { max_wal_size: "2GB", shared_buffers: "128MB" },
});
/** @type {import("node:child_process").ChildProcess | undefined} */
let receiver;
try {
  const recipient = await identityToRecipient(await generateX25519Identity());
  const configuration = [
    "databases:",
    `  main: { url: "${cluster.url()}", pitr: { store: store } }`,
    `stores: { store: { url: "file:store", recipients: [${recipient}] } }`,
    "",
  ].join("\n");
  await writeFile(join(folder, "opsrc.yaml"), configuration);
  receiver = startReceiver();
  const { lags, written, cpu } = await Promise.race([measured(), ended(receiver)]);
  report(lags, written, cpu);
} finally {
  // The race is over: its end is no failure any more.
  receiver?.kill("SIGKILL");
  await cluster.stop();
  await rm(folder, { recursive: true, force: true });
}

function startReceiver() {
  const launcher = fileURLToPath(new URL("../bin/ops", import.meta.url));
  const command = [...prefix, process.execPath, launcher, "wal", "receive", "--create-slot"];
  const [file = "", ...args] = [...command, "--every", values.every, "--config", join(folder, "opsrc.yaml")];
  const child = spawn(file, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  return child;
}

/** @param {import("node:child_process").ChildProcess} child @returns {Promise<never>} */
async function ended(child) {
  const [code] = await once(child, "exit");
  throw new Error(`ops wal receive ended with ${code}`);
}

async function measured() {
  const store = new FileStore(join(folder, "store"));
  const clients = [new pg.Client(cluster.url()), new pg.Client(cluster.url())];
  for (const each of clients) await each.connect();
  const [asker, writer] = clients;
  if (asker === undefined || writer === undefined) throw new Error("two clients");
  const from = await flushed(asker);
  const writing = { active: true };
  const written = write(writer, from, writing);
  /** @type {{ at: number, lsn: bigint }[]} where the server was, and when */
  const seen = [];
  /** @type {number[]} seconds */
  const lags = [];
  let begin = performance.now();
  let cpu = 0;
  let isWarm = false;
  while (performance.now() - begin < (isWarm ? seconds : warmUp) * 1000 || !isWarm) {
    const end = await storedUntil(store);
    const now = performance.now();
    seen.push({ at: now, lsn: await flushed(asker) });
    const reached = seen.findLast((each) => each.lsn <= end);
    if (!isWarm && now - begin >= warmUp * 1000 && reached !== undefined) {
      isWarm = true;
      begin = performance.now();
      cpu = await cpuSeconds();
    } else if (isWarm) lags.push((now - (reached?.at ?? begin)) / 1000);
    await delay(interval);
  }
  const took = (performance.now() - begin) / 1000;
  const used = (await cpuSeconds()) - cpu;
  writing.active = false;
  await written;
  const total = Number((await flushed(asker)) - from);
  for (const each of clients) await each.end();
  return { lags, written: total / (took + warmUp), cpu: used / took };
}

/** Transactions of random text, each a tenth of a second's share. @param {pg.Client} client @param {bigint} from @param {{ active: boolean }} writing */
async function write(client, from, writing) {
  const begin = performance.now();
  while (writing.active) {
    const due = ((performance.now() - begin) / 1000) * rate - Number((await flushed(client)) - from);
    const texts = Math.floor(due / 32);
    if (texts > 0) {
      const text = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, $1::int))";
      await client.query(`SELECT pg_logical_emit_message(true, 'bench', ${text})`, [Math.min(texts, 65_536)]);
    }
    await delay(interval / 2);
  }
}

/** @param {pg.Client} client */
async function flushed(client) {
  const { rows } = await client.query("SELECT pg_current_wal_flush_lsn()::text AS lsn");
  return parseLsn(rows[0].lsn);
}

/** The end of what could be restored if the server were lost now. @param {FileStore} store */
async function storedUntil(store) {
  const { segments } = await listWal(store, "main", segmentBytes);
  const whole = [...(segments.get(1) ?? [])].map((number) => endOf({ timeline: 1, number }, segmentBytes));
  const live = [...(await listLive(store, "main"))].flatMap(([name, parts]) => {
    const segment = parseSegment(name, segmentBytes);
    return segment === undefined ? [] : [startOf(segment, segmentBytes) + BigInt(liveChainOf(parts).bytes)];
  });
  return [...whole, ...live].reduce((last, each) => (each > last ? each : last), 0n);
}

/** Of the receiver. */
async function cpuSeconds() {
  const stat = await readFile(`/proc/${receiver?.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** @param {readonly number[]} lags seconds @param {number} written bytes a second @param {number} cpu share of a core */
function report(lags, written, cpu) {
  const sorted = lags.toSorted((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.ceil((sorted.length - 1) * share)] ?? Number.NaN;
  const shown = (/** @type {number} */ value) => `${value.toFixed(2)} s`;
  const largest = at(1);
  console.log(`| WAL | live parts every | median lag | p99 | largest | CPU of the receiver |
| --- | --- | --- | --- | --- | --- |
| ${(written / 1e6).toFixed(1)} MB/s | ${values.every} | ${shown(at(0.5))} | ${shown(at(0.99))} | ${shown(largest)} | ${Math.round(cpu * 100)} % of a core |

${largest < goal ? "met   " : "missed"} the largest lag is ${shown(largest)}, goal < ${goal} s; ${lags.length} measurements, load average ${loadavg()[0]?.toFixed(1)}`);
  if (values.check && !(largest < goal)) process.exitCode = 1;
}
