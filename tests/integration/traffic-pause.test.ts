import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { OpsError } from "../../src/core/errors.ts";
import { abort } from "../../src/traffic/abort.ts";
import { canary } from "../../src/traffic/canary.ts";
import { promote } from "../../src/traffic/promote.ts";
import { status } from "../../src/traffic/status.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { type Balancer, Load, request, startBalancer } from "../support/haproxy.ts";
import { ops, projectRoot } from "../support/ops.ts";
import { until } from "./wal/setting.ts";

const start = { blue: 100, green: 0 };
const tenth = { blue: 90, green: 10 };
const quick = { to: "green", bake: "300ms", interval: "50ms", "min-requests": 5, compare: { learn: "0s" } };

let balancer: Balancer;
let load: Load;
let directory: string;

beforeAll(async () => {
  balancer = await startBalancer();
});
afterAll(async () => {
  await balancer[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await balancer.setWeight("blue", 100);
  await balancer.setWeight("green", 0);
  balancer.green.failEvery = 0;
  load = new Load(balancer.port);
  directory = await mkdtemp(join(tmpdir(), "ops-pause-"));
});
afterEach(async () => {
  await load.stop();
  await rm(directory, { recursive: true, force: true });
});

const context = () => testContext(balancer.settings(), { directory });

/** A canary at work, as in another terminal. */
async function begun(more: object) {
  const own = context();
  const parsed = canary.input.parse({ ...quick, ...more });
  const before = await canary.observe(own, parsed);
  const attempt = (report: RecordingReport, at = own) => ({
    report,
    ended: canary.apply(at, parsed, before, report).then(
      (output) => ({ output, error: undefined }),
      (error: OpsError) => ({ output: undefined, error }),
    ),
  });
  const first = attempt(new RecordingReport());
  return { ...first, own, resumed: (report: RecordingReport) => attempt(report, context()) };
}

const inPause = (report: RecordingReport) =>
  until(async () => report.messages.at(-1)?.includes("· paused for") === true, "the pause");

test("a paused canary is watched on until somebody promotes it, who is in its output", async () => {
  const { report, ended } = await begun({ steps: ["10%", "pause", "50%"] });
  await until(async () => report.messages.length > 0, "the bake");
  await expect(perform(promote, context(), {})).rejects.toMatchObject({
    code: "E_CANARY_NOT_PAUSED",
    exitCode: 2,
  });
  await inPause(report);

  expect(await balancer.weights()).toEqual(tenth);
  expect(report.last).toMatchObject({ phase: "paused", step: 0, passed: [{ share: 10 }] });
  const seen = await perform(status, context(), {});
  expect(seen.output).toMatchObject({
    canary: { version: "green", state: "paused", paused: { share: 10, until: null } },
  });
  expect(status.render?.(seen.output)).toMatch(/canary of green by .*: paused at 10% since .*promote web/);
  const promoted = await perform(promote, context(), { reason: "the first hour is fine" });

  expect(promoted.output).toMatchObject({ version: "green", share: 10, acknowledged: true });
  const { output } = await ended;
  expect(output).toMatchObject({
    verdict: "pass",
    weights: { blue: 50, green: 50 },
    steps: [{ share: 10 }, { share: 50 }],
    promotions: [{ share: 10, by: "test@localhost", reason: "the first hour is fine" }],
    inFlight: null,
  });
  expect(report.lines).toContainEqual(expect.stringMatching(/^test@localhost promoted green at 10% after /));
  await expect(perform(promote, context(), {})).rejects.toMatchObject({ code: "E_NO_CANARY", exitCode: 2 });
});

test("a version that goes bad in the pause is aborted, and so is one that somebody aborts", async () => {
  const bad = await begun({ steps: ["50%", "pause"] });
  await inPause(bad.report);
  balancer.green.failEvery = 4;
  const { error } = await bad.ended;
  expect(error).toMatchObject({ code: "E_CANARY_ABORTED", message: expect.stringContaining("badly") });
  expect(await balancer.weights()).toEqual(start);

  balancer.green.failEvery = 0;
  // Before any share is given.
  const waiting = await begun({ steps: ["pause", "50%"] });
  await inPause(waiting.report);
  expect(await balancer.weights()).toEqual(start);
  const done = await perform(abort, context(), { reason: "not today" });
  expect(done.output).toMatchObject({ acknowledged: true, inFlight: 0 });
  expect((await waiting.ended).error).toMatchObject({ code: "E_CANARY_ABORTED" });
});

test("a pause whose time is over gives back, holds or goes on, as it was told", async () => {
  const pause = { steps: ["10%", { pause: "300ms" }, "50%"] };
  const failing = await begun(pause);
  expect((await failing.ended).error).toMatchObject({
    code: "E_CANARY_NOT_PROMOTED",
    message: "nobody promoted green at 10% in 300ms",
  });
  expect(await balancer.weights()).toEqual(start);

  const going = await begun({ ...pause, unpromoted: "promote" });
  expect((await going.ended).output).toMatchObject({ promotions: [{ by: "the time of the pause" }] });
  await balancer.setWeight("blue", 100);
  await balancer.setWeight("green", 0);

  const holding = await begun({ ...pause, unpromoted: "hold" });
  expect((await holding.ended).error).toMatchObject({ code: "E_CANARY_NOT_PROMOTED" });
  expect(await balancer.weights()).toEqual(tenth);
  // The resumed one waits again, and bakes nothing that has passed.
  const { report, ended } = holding.resumed(new RecordingReport(holding.report.last));
  await inPause(report);
  expect(report.checkpoints[0]).toMatchObject({ phase: "paused", passed: [{ share: 10 }] });
  await perform(promote, context(), {});
  expect((await ended).output).toMatchObject({ steps: [{ share: 10 }, { share: 50 }] });
});

test("the old version is waited for until its last request is through, or told of", async () => {
  const inFlight = async () => {
    const { output } = await perform(status, context(), {});
    return (output as { versions: { inFlight: number }[] }).versions[0]?.inFlight;
  };
  /** A request that the old version works on, while others are as quick as ever. */
  const hanging = async (ms: number) => {
    await load.stop();
    balancer.blue.latency = ms;
    const answer = { isThere: false, when: Promise.resolve() };
    answer.when = request(balancer.port).then(() => {
      answer.isThere = true;
    });
    await until(async () => (await inFlight()) === 1, "a request that hangs");
    balancer.blue.latency = 2;
    load = new Load(balancer.port);
    return answer;
  };

  const slow = await hanging(2500);
  const patient = await begun({ steps: ["100%"] });
  expect((await patient.ended).output).toMatchObject({ inFlight: { blue: 0 } });
  expect(slow.isThere).toBe(true);
  expect(patient.report.messages).toContainEqual(expect.stringMatching(/^waiting for 1 request at blue: /));

  await balancer.setWeight("blue", 100);
  await balancer.setWeight("green", 0);
  const slower = await hanging(3500);
  const { output, error } = await (await begun({ steps: ["100%"], drain: "200ms" })).ended;
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ verdict: "pass", inFlight: { blue: 1 } });
  expect(canary.render?.(output)).toContain("still under way: 1 request at blue");
  await slower.when;
});

test("killed in a pause with on-crash: hold, it is resumed in the pause and promoted there", async () => {
  const config = join(directory, "opsrc.yaml");
  await writeFile(config, JSON.stringify(balancer.settings()));
  const words = ["traffic", "canary", "green", "--steps", "10%,pause:5m,50%", "--bake", "300ms"];
  const more = ["--interval", "50ms", "--min-requests", "5", "--compare", "learn=0s", "--on-crash", "hold"];
  const spawned = (args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [join(projectRoot, "bin/ops"), ...args, "--yes", "--config", config], {
      cwd: directory,
      stdio: "ignore",
    });
  /** Of the attempt that is paused; undefined while none is. */
  const pausedPid = async () => {
    const folder = join(directory, ".ops", "traffic");
    const [name] = (await readdir(folder).catch(() => [])).filter((each) => each.endsWith(".canary.json"));
    if (name === undefined) return undefined;
    const record = JSON.parse(await readFile(join(folder, name), "utf8"));
    return record.paused === null ? undefined : (record.process.pid as number);
  };
  const killed = spawned([...words, ...more]);
  await until(async () => (await pausedPid()) === killed.pid, "the pause");
  const died = once(killed, "exit");
  killed.kill("SIGKILL");
  await died;
  const early = await ops(["traffic", "promote"], { config, cwd: directory });
  expect(early).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("ops runs resume") });
  expect(await balancer.weights()).toEqual(tenth);

  const resumed = spawned(["runs", "resume", "last"]);
  const ended = once(resumed, "exit");
  await until(async () => (await pausedPid()) === resumed.pid, "the pause again");
  const promoted = await ops(["traffic", "promote", "web"], { config, cwd: directory });

  expect(promoted).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("goes on from 10%") });
  expect(await ended).toEqual([0, null]);
  expect(await balancer.weights()).toEqual({ blue: 50, green: 50 });
});
