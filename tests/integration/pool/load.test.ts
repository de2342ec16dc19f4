import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { disable } from "../../../src/pool/disable.ts";
import { rebalance } from "../../../src/pool/rebalance.ts";
import { show } from "../../../src/pool/show.ts";
import { warm } from "../../../src/pool/warm.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { Load } from "../../support/haproxy.ts";
import { type PoolBalancer, startPoolBalancer } from "../../support/pool-balancer.ts";

/** A machine under load takes its time. */
const patient = { timeout: 20_000 };
let balancer: PoolBalancer;
beforeAll(async () => {
  balancer = await startPoolBalancer();
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  for (const server of Object.values(balancer.servers)) {
    server.latency = 2;
    server.failEvery = 0;
  }
  await balancer.reset();
});

const context = () => testContext(balancer.settings());
const weights = async () => {
  const { output } = await perform(show, context(), {});
  const { servers } = output as { servers: { server: string; weight: number; state: string }[] };
  return Object.fromEntries(servers.map((each) => [each.server, each.weight]));
};

test("a slow server gets fewer requests, in bounded steps, and can have its weight back", async () => {
  balancer.servers.c.latency = 300;
  await using _load = new Load(balancer.port, 16, 2);
  const input = { measure: "800ms", rounds: 3 };

  const parsed = rebalance.input.parse(input);
  const seen = await rebalance.observe(context(), parsed);
  expect(rebalance.plan(seen, parsed)).toMatchObject([{ action: "update", target: "pool:web" }]);
  expect(rebalance.notes?.(seen, parsed)).toEqual([expect.stringMatching(/; now that gives .*c 80$/)]);
  expect(await weights()).toEqual({ a: 100, b: 100, c: 100 });

  const done = await perform(rebalance, context(), input);

  const after = await weights();
  expect(after.c).toBeLessThanOrEqual(64);
  expect(after.c).toBeGreaterThanOrEqual(51);
  expect(done.output).toMatchObject({ weights: after });
  expect(await done.undo()).toMatchObject({ undone: true });
  expect(await weights()).toEqual({ a: 100, b: 100, c: 100 });
});

test("a round that a crash cut off is finished, and weights of somebody else stop it", async () => {
  const parsed = rebalance.input.parse({ measure: "1ms" });
  const before = { pool: "web", weights: { a: 100, b: 100, c: 100 }, loads: { a: 1, b: 1, c: 4 } };
  await balancer.command("set weight web/a 120");

  const output = await rebalance.apply(context(), parsed, before, new RecordingReport());

  expect(output).toMatchObject({ rounds: 1, weights: { a: 120, b: 120, c: 80 } });
  await balancer.command("set weight web/a 7");
  await expect(rebalance.apply(context(), parsed, before, new RecordingReport())).rejects.toMatchObject({
    code: "E_POOL_DRIFT",
  });
});

test("an idle pool is left as it is", async () => {
  const { before, output } = await perform(rebalance, context(), { measure: "100ms" });

  const notes = rebalance.notes?.(before, rebalance.input.parse({}));
  expect(notes).toEqual([expect.stringContaining("nothing to even out")]);
  expect(output).toMatchObject({ rounds: 0, weights: { a: 100, b: 100, c: 100 } });
});

test("a cold server is warmed in steps, from a stop on the way to the end", async () => {
  await perform(disable, context(), { server: "b" });
  await using _load = new Load(balancer.port, 4, 2);
  const stopped = context();
  const parsed = warm.input.parse({ server: "b", over: "1200ms", steps: 4 });
  const before = await warm.observe(stopped, parsed);
  const report = new RecordingReport();
  const first = Promise.resolve(warm.apply(stopped, parsed, before, report)).catch((error: unknown) => error);
  await expect.poll(weights, patient).toMatchObject({ b: 50 });
  stopped.requestStop();
  expect(await first).toMatchObject({ code: "E_INTERRUPTED" });
  expect(await weights()).toMatchObject({ b: 50 });

  const resumed = new RecordingReport(report.last);
  const output = await warm.apply(context(), parsed, before, resumed);

  expect(resumed.checkpoints).toEqual([{ step: 2 }, { step: 3 }, { step: 4 }]);
  expect(output).toMatchObject({ state: "ready", health: "up", weight: 100 });
});

test("a server that does badly while it warms is taken out again", async () => {
  await perform(disable, context(), { server: "b" });
  balancer.servers.b.failEvery = 2;
  await using _load = new Load(balancer.port, 8, 1);

  const failed = perform(warm, context(), { server: "b", over: "20s", steps: 2 });

  await expect(failed).rejects.toMatchObject({
    code: "E_WARM_ABORTED",
    message: expect.stringMatching(/^b answered \d+ of \d+ requests badly \(limit 5%\)$/),
    hint: expect.stringContaining("it is in maintenance"),
  });
  expect((await perform(show, context(), {})).output).toMatchObject({
    servers: [{}, { state: "maint", weight: 100 }, {}],
  });
});

test("a weight that is too small for its steps is refused", async () => {
  await balancer.command("set weight web/b 1");

  await expect(perform(warm, context(), { server: "b" })).rejects.toMatchObject({
    code: "E_WARM_WEIGHT",
    exitCode: 2,
    hint: expect.stringContaining("--weights a=100 b=100 c=100"),
  });
});
