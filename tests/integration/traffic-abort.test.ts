import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TerminatedError } from "../../src/core/errors.ts";
import { abort } from "../../src/traffic/abort.ts";
import { canary } from "../../src/traffic/canary.ts";
import { CanaryFiles } from "../../src/traffic/canary-record.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { type Balancer, Load, startBalancer } from "../support/haproxy.ts";
import { ops, projectRoot } from "../support/ops.ts";
import { until } from "./wal/setting.ts";

const start = { blue: 100, green: 0 };
const tenth = { blue: 90, green: 10 };
const input = { to: "green", bake: "60s", interval: "100ms", compare: { learn: "0s" } };

let balancer: Balancer;
let load: Load;
let directory: string;
let config: string;

beforeEach(async () => {
  balancer = await startBalancer();
  load = new Load(balancer.port);
  directory = await mkdtemp(join(tmpdir(), "ops-abort-"));
  config = join(directory, "opsrc.yaml");
  await writeFile(config, JSON.stringify(balancer.settings()));
});
afterEach(async () => {
  await load.stop();
  await balancer[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function begun(more: object = {}) {
  const context = testContext(balancer.settings(), { directory });
  const parsed = canary.input.parse({ ...input, ...more });
  const before = await canary.observe(context, parsed);
  const report = new RecordingReport();
  const ended = canary.apply(context, parsed, before, report).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { context, parsed, before, report, ended };
}

const shown = async () => JSON.stringify(await balancer.weights());

test("a canary that bakes is aborted at once, by whom and why", async () => {
  const { report, ended } = await begun();
  await until(async () => report.messages.some((each) => each.endsWith("of 1m 00s")), "the bake");

  const { output, changes } = await perform(abort, testContext(balancer.settings(), { directory }), {
    reason: "customers cannot check out",
  });

  expect(changes).toMatchObject([{ to: { blue: 100, green: 0 } }]);
  expect(output).toMatchObject({ version: "green", weights: start, acknowledged: true });
  expect(await ended).toMatchObject({
    code: "E_CANARY_ABORTED",
    message: "test@localhost aborted the canary: customers cannot check out",
  });
  expect(await balancer.weights()).toEqual(start);
  expect(report.last).toMatchObject({ phase: "aborted" });
  await expect(perform(abort, testContext(balancer.settings(), { directory }), {})).rejects.toMatchObject({
    code: "E_NO_CANARY",
    exitCode: 2,
  });
});

test("while it learns, too, and while it waits for its share", async () => {
  for (const more of [{ compare: { learn: "12s" } }, { deadline: "60s", "warm-up": "60s" }]) {
    const { report, ended } = await begun(more);
    await until(async () => report.messages.length > 0, "the canary");

    const { output } = await perform(abort, testContext(balancer.settings(), { directory }), {});

    expect(output).toMatchObject({ weights: start, acknowledged: true });
    expect(await ended).toMatchObject({ code: "E_CANARY_ABORTED" });
  }
});

test("a canary that holds after Ctrl-C is aborted, and a resumed one begins anew", async () => {
  const { context, parsed, before, report, ended } = await begun({ bake: "1s" });
  await until(async () => (await shown()) === JSON.stringify(tenth), "the first step");
  context.requestStop();
  expect(await ended).toMatchObject({ code: "E_INTERRUPTED" });
  expect(await balancer.weights()).toEqual(tenth);
  // The record says that this very process works on it: as after its end.
  const { output } = await perform(abort, testContext(balancer.settings(), { directory }), {});

  expect(output).toMatchObject({ weights: start });
  const resumed = new RecordingReport(report.last);
  await canary.apply(testContext(balancer.settings(), { directory }), parsed, before, resumed);
  expect(resumed.checkpoints[0]).toMatchObject({ step: 0 });
  expect(await balancer.weights()).toEqual({ blue: 0, green: 100 });
});

test("a fix skips the bake, confirmed by requests, with its reason in the plan and in the journal", async () => {
  const reason = "the old version loses orders";
  const words = ["traffic", "canary", "green", "--skip-bake", reason, "--yes", "--json"];
  const done = await ops(words, { config, cwd: directory });
  const { stdout } = await ops(["runs", "show", "last", "--events"], { config, cwd: directory });

  expect(JSON.parse(done.stdout)).toMatchObject({
    steps: [{ output: { verdict: "skipped", steps: [], confirmed: true } }],
  });
  expect(await balancer.weights()).toEqual({ blue: 0, green: 100 });
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.find(({ type }) => type === "step.started")).toMatchObject({
    data: { input: { "skip-bake": reason } },
  });
  expect(events.find(({ type }) => type === "step.observed")).toMatchObject({
    data: { changes: [{ summary: `give green 100% of the traffic at once, unwatched: ${reason}` }] },
  });
});

/** The built command, in a process of its own. */
function canaryProcess(more: readonly string[] = [], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const words = [
    "traffic",
    "canary",
    "green",
    "--bake",
    "60s",
    "--compare",
    "learn=0s",
    "--yes",
    "--config",
    config,
    ...more,
  ];
  return spawn(process.execPath, [join(projectRoot, "bin/ops"), ...words], {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
}

test("hung for longer than its lease, its watchdog gives the traffic back, and it takes nothing again when it wakes up", async () => {
  const child = canaryProcess([], { OPS_WATCHDOG_LEASE: "3s" });
  await until(async () => (await shown()) === JSON.stringify(tenth), "the first step");
  const ended = once(child, "exit");
  child.kill("SIGSTOP");
  try {
    await until(async () => (await shown()) === JSON.stringify(start), "the traffic to be back");
  } finally {
    child.kill("SIGCONT");
  }

  expect(await ended).toEqual([1, null]);
  expect(await balancer.weights()).toEqual(start);
  const { stdout } = await ops(["runs", "show", "last", "--json"], { config, cwd: directory });
  expect(stdout).toContain("ops ended, or hung, without giving it back");
});

test("killed with SIGKILL, its watchdog gives the traffic back", async () => {
  const child = canaryProcess();
  await until(async () => (await shown()) !== JSON.stringify(start), "the first step");
  const died = once(child, "exit");
  child.kill("SIGKILL");
  await died;

  await until(async () => (await shown()) === JSON.stringify(start), "the traffic to be back");
  const result = await ops(["traffic", "abort"], { config, cwd: directory });
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain("E_NO_CANARY");
});

test.each(["SIGTERM", "SIGHUP"] as const)(
  "ended by %s, it gives the traffic back before it ends, and is to be resumed",
  async (signal) => {
    const child = canaryProcess();
    await until(async () => (await shown()) === JSON.stringify(tenth), "the first step");
    const ended = once(child, "exit");
    child.kill(signal);

    expect(await ended).toEqual([130, null]);
    expect(await balancer.weights()).toEqual(start);
    const { stdout } = await ops(["runs", "show", "last", "--json"], { config, cwd: directory });
    expect(JSON.parse(stdout)).toMatchObject({ status: "interrupted" });
    const files = new CanaryFiles(testContext(balancer.settings(), { directory }), "web");
    expect(await files.read()).toBeUndefined();
  },
);

test("with on-crash: hold, the traffic stays also where its process is told to end", async () => {
  const { context, report, ended } = await begun({ "on-crash": "hold" });
  await until(async () => report.messages.length > 2, "the bake");
  context.requestStop(new TerminatedError());

  expect(await ended).toMatchObject({ code: "E_INTERRUPTED" });
  expect(await balancer.weights()).toEqual(tenth);
});

test("killed with on-crash: hold, it stays, until one direct command gives it back", async () => {
  const child = canaryProcess(["--on-crash", "hold"]);
  // Both weights of the step: they are set one after the other.
  await until(async () => (await shown()) === JSON.stringify(tenth), "the first step");
  const died = once(child, "exit");
  child.kill("SIGKILL");
  await died;
  await delay(500);
  expect(await balancer.weights()).toEqual(tenth);

  const result = await ops(["traffic", "abort", "web"], { config, cwd: directory });

  expect(result.stdout).toContain("route web: blue 100%, green 0%; the canary of green is aborted");
  expect(result.exitCode).toBe(0);
  expect(await balancer.weights()).toEqual(start);
});
