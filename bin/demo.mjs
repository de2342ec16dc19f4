#!/usr/bin/env node
/*
 * The demo: one deploy that goes well and one that does not, under load, on a real PostgreSQL and a real HAProxy.
 *
 *   node bin/demo.mjs [--bake 3s] [--down]
 *
 * Exit codes: 0 both stories ended as they should, 1 they did not, 2 wrong usage, 130 interrupted. The sandbox stays
 * up for the reader, in .ops/sandbox of the current folder; --down takes it down at the end.
 */
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Load, requestsPerSecond } from "./demo/load.mjs";
import { Interrupted, launcher, Ops } from "./demo/ops.mjs";
import { command, heading, say } from "./demo/page.mjs";
import { brokenDeploy, healthyDeploy, takenBack, unmetExpectations } from "./demo/stories.mjs";
import { whatHappened, whatNext, whatWentWrong } from "./demo/summary.mjs";

const directory = resolve(".ops/sandbox");
const config = resolve(directory, ".opsrc");
const runbook = fileURLToPath(new URL("../runbooks/deploy.yaml", import.meta.url));

/** @type {Record<string, string>} */
const what = {
  database: "PostgreSQL with the shop's orders",
  balancer: "HAProxy, which splits the traffic",
  blue: "the shop, version 1: 100% of the traffic",
  green: "the shop, version 2: 0%, and it needs a newer schema",
};

/** @param {string} path as somebody in the current folder would type it */
function typed(path) {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

/** @param {Ops} ops @returns {Promise<{ application: string, green: string }>} URLs of a sandbox right after its start */
async function freshSandbox(ops) {
  heading("A sandbox: PostgreSQL, HAProxy, two versions of a small shop");
  const { state } = await ops.ask(["sandbox", "status"]);
  const args = state === "up" ? ["sandbox", "reset", "--yes"] : ["sandbox", "up"];
  command(`ops ${args.join(" ")}`);
  const { processes, urls } = await ops.ask(args);
  for (const { name, port } of processes) say(`  ${name.padEnd(9)} ${what[name]}, port ${port}`);
  return urls;
}

/** @param {Ops} ops @param {string} bake */
async function tell(ops, bake) {
  const urls = await freshSandbox(ops);
  const load = new Load(urls.application);
  say();
  say(`Users: ${requestsPerSecond} requests a second to ${urls.application}, from here to the end.`);
  try {
    const stage = { ops, load, urls, bake, runbook: { path: runbook, shown: typed(runbook) } };
    const healthy = await healthyDeploy(stage);
    const back = await takenBack(stage);
    const broken = await brokenDeploy(stage);
    load.stop();
    whatHappened({ healthy, back, broken });
    const unmet = unmetExpectations(healthy, back, broken);
    if (unmet.length > 0) whatWentWrong(unmet);
    const { value: state } = (await ops.ask(["config", "show"])).settings.find(
      (/** @type {any} */ each) => each.path === "state-dir",
    );
    const journal = typed(resolve(state, "journal.db"));
    return { unmet, journal, runs: { healthy: healthy.run.id, broken: broken.run.id } };
  } finally {
    load.stop();
  }
}

/** @param {Ops} ops @param {{ bake: string, down: boolean }} options @returns {Promise<number>} the exit code */
async function demo(ops, { bake, down }) {
  const { unmet, journal, runs } = await tell(ops, bake);
  if (down) {
    say();
    command("ops sandbox down --yes");
    await ops.show(["sandbox", "down", "--yes"]);
  } else {
    whatNext({ config: typed(config), launcher: typed(launcher), runbook: typed(runbook), journal, runs });
  }
  return unmet.length === 0 ? 0 : 1;
}

/** @returns {{ bake: string, down: boolean } | undefined} undefined where the arguments are wrong */
function readArguments() {
  const options = /** @type {const} */ ({
    bake: { type: "string", default: "3s" },
    down: { type: "boolean", default: false },
  });
  try {
    const { bake, down } = parseArgs({ options }).values;
    return { bake: bake ?? "3s", down: down === true };
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\n  = node bin/demo.mjs [--bake 3s] [--down]\n`,
    );
    return undefined;
  }
}

const options = readArguments();
if (options === undefined) process.exitCode = 2;
else {
  const ops = new Ops(config);
  try {
    process.exitCode = await demo(ops, options);
  } catch (error) {
    const interrupted = error instanceof Interrupted;
    process.exitCode = interrupted ? 130 : 1;
    process.stderr.write(
      `\n${interrupted ? "Interrupted" : error instanceof Error ? error.message : String(error)}\n`,
    );
    if (options.down) await new Ops(config).show(["sandbox", "down", "--yes"]);
    else process.stderr.write(`  = the sandbox may still be up: ${typed(launcher)} sandbox down --yes\n`);
  }
}
