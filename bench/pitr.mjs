#!/usr/bin/env node
/*
 * Base backups, WAL and restores: ops against pgBackRest, of one server.
 *
 *   npm run bench:pitr [-- --rounds 5 --size 2000 --segments 64 --json FILE --check]
 *
 * Needs the programs pgbench, zstd, age, pgbackrest, and room below --directory (default: the temp folder): four times
 * --size (MiB of the database), and 2.5 GB for each round. --check: exit 1 where a goal is missed.
 */
import { writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { fill, fingerprint } from "./backup-data.mjs";
import { goals, report } from "./pitr-report.mjs";
import { PitrBench } from "./pitr-setting.mjs";
import { tools } from "./pitr-tools.mjs";

/** @import { Tool } from "./pitr-tools.mjs" */
/** @import { Measure, Sample } from "./pitr-report.mjs" */

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    size: { type: "string", default: "2000" },
    segments: { type: "string", default: "64" },
    directory: { type: "string", default: tmpdir() },
    json: { type: "string" },
    check: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const size = Number(values.size);

/** @type {Sample[]} */
const samples = [];
const load = loadavg()[0] ?? 0;
let ended = false;
// The tool that runs ends by the same Ctrl-C; its measure fails, and everything is stopped on the way out.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    ended = true;
  });
}
const bench = await PitrBench.start(values.directory);
try {
  // As much as in bench:backup: 1952 MiB by these numbers.
  await fill(bench.setting.url, {
    scale: Math.max(1, Math.round((60 * size) / 1952)),
    notes: Math.round((3_000_000 * size) / 1952),
  });
  await bench.archiveBy(tools.at(-1));
  bench.askFor([]);
  for (let round = 0; round < rounds; round += 1) await runRound(round);
  const megabytes = Number(await bench.query("SELECT pg_database_size(current_database()) / 1048576"));
  const head = {
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? "",
    cores: cpus().length,
    server: await bench.query("SHOW server_version"),
    tool: bench.shell("pgbackrest version").trim(),
    size,
    sizeAtTheEnd: megabytes,
    segments: Number(values.segments),
    rounds,
    loadBefore: load,
    loadAfter: loadavg()[0] ?? 0,
  };
  console.log(report(head, samples));
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ ...head, goals, samples }, null, 2)}\n`);
  if (values.check && goals.some((each) => !each.isMet(samples))) process.exitCode = 1;
} finally {
  await bench.stop();
}

/** @param {number} round */
async function runRound(round) {
  // Each round in another order, and every second one the other way round: what slows the machine down for a while slows
  // all of them down, and what one tool leaves behind in its caches is not always the same one's.
  const turned = tools
    .map((_, turn) => tools[(turn + Math.floor(round / 2)) % tools.length])
    .filter((each) => each !== undefined);
  const own = round % 2 === 0 ? turned : turned.toReversed();
  const before = bench.segments().at(-1) ?? "";
  for (const tool of own) {
    bench.shell(tool.reset(bench.setting));
    await bench.archiveBy(tool);
    await measure("base", tool, tool.base(bench.setting), `du -sb ${tool.result}`);
    bench.shell(bench.untilArchived);
  }
  await bench.archiveBy(undefined);
  const written = await bench.writeSegments(Number(values.segments));
  const [first = ""] = written;
  const prelude = bench.segments().filter((each) => each > before && each < first);
  for (const tool of own.filter((each) => each.archiveCommand !== undefined)) {
    // What the server wrote while the others made their base backups belongs to the log as well.
    await archived(tool, prelude);
    bench.askFor(written);
    await bench.query("SELECT 1");
    await measureArchive(tool, written);
  }
  const wanted = await fingerprint(bench.setting.url);
  for (const tool of own) {
    await bench.removeRestored();
    await measure("restore", tool, tool.restore(bench.setting));
    if (tool.archiveCommand === undefined) continue;
    const { url, script } = await bench.replayed();
    await measure("replay", tool, script);
    const found = await fingerprint(url);
    if (found !== wanted) throw new Error(`${tool.name} restored ${found} instead of ${wanted}`);
  }
  await bench.removeRestored();
  await bench.query("DROP TABLE load");
}

/** Archives segments that are not measured. @param {Tool} tool @param {readonly string[]} segments */
async function archived(tool, segments) {
  bench.askFor(segments);
  await bench.archiveBy(tool);
  bench.shell(bench.untilArchived);
  await bench.archiveBy(undefined);
}

/** From the moment on when the server learns the command. @param {Tool} tool @param {readonly string[]} segments */
async function measureArchive(tool, segments) {
  const client = `psql -qXt ${bench.setting.url} -c`;
  const command = tool.archiveCommand?.(bench.setting) ?? "";
  await measure(
    "archive",
    tool,
    `${client} "ALTER SYSTEM SET archive_command = '${command}'" -c "SELECT pg_reload_conf()" > psql.out\n${bench.untilArchived}`,
  );
  await bench.archiveBy(undefined);
  bench.askFor([]);
  if (segments.length !== Number(values.segments)) throw new Error(`there were ${segments.length} segments`);
}

/** @param {Measure} measure @param {Tool} tool @param {string} script @param {string} [sized] tells the size of its result */
async function measure(measure, tool, script, sized) {
  if (ended) throw new Error("ended by a signal");
  const { stdout: _, ...cost } = await bench.measured(`${measure} of ${tool.name}`, script);
  const bytes = sized === undefined ? undefined : Number(bench.shell(sized).split("\t")[0]);
  samples.push({ measure, tool: tool.name, ...cost, ...(bytes === undefined ? {} : { bytes }) });
  console.error(`${measure}: ${tool.name} ${cost.wall.toFixed(2)} s`);
}
