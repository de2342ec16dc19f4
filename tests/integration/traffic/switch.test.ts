import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { TerminatedError } from "../../../src/core/errors.ts";
import { checks } from "../../../src/gate/checks.ts";
import { abort } from "../../../src/traffic/abort.ts";
import { switchOver } from "../../../src/traffic/switch.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { type Balancer, Load, startBalancer } from "../../support/haproxy.ts";
import { projectRoot } from "../../support/ops.ts";

const start = { blue: 100, green: 0 };
const switched = { blue: 0, green: 100 };
const quick = {
  to: "green",
  every: "50ms",
  within: "300ms",
  window: "700ms",
  interval: "50ms",
  "min-requests": 10,
};

/** A machine under load takes its time. */
const patient = { timeout: 20_000 };
let balancer: Balancer;
let load: Load;
let directory: string;
beforeAll(async () => {
  balancer = await startBalancer({ check: "check inter 500ms fall 3 rise 1" });
  directory = await mkdtemp(join(tmpdir(), "ops-switch-"));
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  balancer.green.failEvery = 0;
  balancer.green.healthy = true;
  await balancer.setWeight("blue", 100);
  await balancer.setWeight("green", 0);
  load = new Load(balancer.port);
});
afterEach(async () => {
  await load.stop();
});

const context = (settings: object = {}) =>
  testContext({ ...balancer.settings(), ...settings }, { directory, checks });
const health = () => `http://127.0.0.1:${balancer.green.port}/health`;
const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test("a version that is well three times in a row gets all traffic at once, and keeps it when its window passes", async () => {
  const gates = { ready: { checks: [{ id: "answers", kind: "http", with: { url: health() } }] } };

  const done = await perform(switchOver, context({ gates }), { ...quick, gate: "ready", probe: [health()] });
  const { failed } = await load.stop();

  expect(done.changes.map(({ summary }) => summary)).toEqual([
    "wait until green is well 3 times in a row (answers, probe-1)",
    "give green all traffic at once and watch it for 700ms",
  ]);
  expect(done.output).toMatchObject({
    verdict: "pass",
    weights: switched,
    gate: { looks: 3, status: "UP", checks: [{ id: "answers", status: "pass" }, { id: "probe-1" }] },
    window: { share: 100, errors: 0 },
  });
  expect(done.report.checkpoints[0]).toMatchObject({ phase: "gated" });
  expect(failed).toBe(0);
  const again = await perform(switchOver, context(), quick);
  expect(again).toMatchObject({ changes: [], output: { verdict: "unchanged" } });
  await expect(perform(abort, context(), {})).rejects.toMatchObject({
    code: "E_NO_CANARY",
    hint: expect.stringContaining(`ops runs rollback ${context().runId}`),
  });
  expect(await done.undo()).toMatchObject({ undone: true });
  expect(await balancer.weights()).toEqual(start);
  await expect(perform(abort, context(), {})).rejects.toMatchObject({
    hint: expect.not.stringContaining(String(context().runId)),
  });
});

test("a version that is not well gets nothing: a no-go that says why", async () => {
  balancer.green.healthy = false;

  const error = await failure(perform(switchOver, context(), { ...quick, probe: [health()] }));

  expect(error).toMatchObject({
    code: "E_SWITCH_GATE",
    exitCode: 3,
    message: expect.stringMatching(
      /^green was not well 3 times in a row within 300ms: .*probe-1: status 503/,
    ),
  });
  expect(await balancer.weights()).toEqual(start);
  balancer.green.healthy = true;
  await expect.poll(() => balancer.isUp("green"), patient).toBe(true);
});

test("an abort while its gate waits ends it with nothing changed, and so does somebody else's change", async () => {
  balancer.green.healthy = false;
  const waiting = { ...quick, within: "1m", every: "1m", probe: [health()] };
  const input = switchOver.input.parse(waiting);
  const before = await switchOver.observe(context(), input);
  const report = new RecordingReport();
  const ended = failure(Promise.resolve(switchOver.apply(context(), input, before, report)));
  await expect.poll(() => report.messages.length, patient).toBeGreaterThan(0);

  const { output } = await perform(abort, context(), { reason: "not today" });

  expect(output).toMatchObject({ weights: start, acknowledged: true });
  expect(await ended).toMatchObject({
    code: "E_SWITCH_RETURNED",
    message: expect.stringMatching(/^The switch to green ended at its gate: .* not today$/),
    hint: "no traffic was changed",
  });
  expect(await balancer.weights()).toEqual(start);
  balancer.green.healthy = true;
  await expect.poll(() => balancer.isUp("green"), patient).toBe(true);

  const slow = switchOver.input.parse({ ...quick, every: "300ms" });
  const foreign = failure(Promise.resolve(switchOver.apply(context(), slow, before, new RecordingReport())));
  await balancer.setWeight("blue", 42);
  expect(await foreign).toMatchObject({ code: "E_TRAFFIC_DRIFT" });
  await expect(perform(abort, context(), {})).rejects.toMatchObject({ code: "E_NO_CANARY" });
});

test("goes back by itself when the new version does badly within the window", async () => {
  const report = new RecordingReport();
  const input = switchOver.input.parse({ ...quick, window: "30s" });
  const before = await switchOver.observe(context(), input);
  const ended = failure(Promise.resolve(switchOver.apply(context(), input, before, report)));
  await expect.poll(() => balancer.weights(), patient).toEqual(switched);
  balancer.green.failEvery = 2;

  expect(await ended).toMatchObject({
    code: "E_SWITCH_RETURNED",
    message: expect.stringMatching(/^The switch to green went back: green answered .* badly .*limit > 5%/),
  });
  expect(await balancer.weights()).toEqual(start);
});

test("is ended by traffic abort and by SIGTERM, and has no verdict without traffic", async () => {
  const input = switchOver.input.parse({ ...quick, window: "30s" });
  const before = await switchOver.observe(context(), input);
  const ended = failure(Promise.resolve(switchOver.apply(context(), input, before, new RecordingReport())));
  await expect.poll(() => balancer.weights(), patient).toEqual(switched);
  await perform(abort, context(), { reason: "customers cannot check out" });
  expect(await ended).toMatchObject({
    code: "E_SWITCH_RETURNED",
    message: expect.stringContaining("customers cannot check out"),
  });
  expect(await balancer.weights()).toEqual(start);

  const terminated = context();
  const again = failure(Promise.resolve(switchOver.apply(terminated, input, before, new RecordingReport())));
  await expect.poll(() => balancer.weights(), patient).toEqual(switched);
  terminated.requestStop(new TerminatedError());
  expect(await again).toMatchObject({ code: "E_INTERRUPTED" });
  expect(await balancer.weights()).toEqual(start);

  await load.stop();
  const quiet = await failure(
    perform(switchOver, context(), { ...quick, window: "100ms", deadline: "100ms" }),
  );
  expect(quiet).toMatchObject({ code: "E_SWITCH_INCONCLUSIVE" });
  expect(await balancer.weights()).toEqual(start);
});

test("killed with SIGKILL in its window, its watchdog gives the traffic back", async () => {
  const config = join(directory, "opsrc.yaml");
  await writeFile(config, JSON.stringify(balancer.settings()));
  const words = [
    "traffic",
    "switch",
    "green",
    "--window",
    "60s",
    "--every",
    "50ms",
    "--yes",
    "--config",
    config,
  ];
  const child = spawn(process.execPath, [join(projectRoot, "bin/ops"), ...words], {
    cwd: directory,
    stdio: "ignore",
  });
  await expect.poll(() => balancer.weights(), patient).toEqual(switched);
  const died = once(child, "exit");
  child.kill("SIGKILL");
  await died;

  await expect.poll(() => balancer.weights(), patient).toEqual(start);
});
