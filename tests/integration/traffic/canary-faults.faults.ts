import { rename } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { OpsError } from "../../../src/core/errors.ts";
import { canary } from "../../../src/traffic/canary.ts";
import { RecordingReport, testContext } from "../../support/context.ts";
import { type Balancer, Load, startBalancer } from "../../support/haproxy.ts";

/** What can happen to a canary that has its share; the shorter ones are in traffic-canary.test.ts. */
const input = {
  to: "green",
  steps: ["50%"],
  bake: "3s",
  interval: "50ms",
  "min-requests": 10,
  compare: { learn: "0s" },
};

let balancer: Balancer;
let load: Load;
afterEach(async () => {
  await load.stop();
  await balancer[Symbol.asyncDispose]();
});

/** A canary to its end, with something that happens to it once it bakes. */
async function canaryWhile(
  happens: () => unknown,
  more: object = {},
  options: Parameters<typeof startBalancer>[0] = {},
) {
  balancer = await startBalancer(options);
  load = new Load(balancer.port, 12, 2, options.people === undefined ? 0 : 1000);
  const context = testContext(balancer.settings());
  const parsed = canary.input.parse({ ...input, ...more });
  const before = await canary.observe(context, parsed);
  const report = new RecordingReport();
  const ended = canary.apply(context, parsed, before, report).then(
    (output) => ({ output, error: undefined }),
    (error: OpsError) => ({ output: undefined, error }),
  );
  while (!report.messages.at(-1)?.endsWith("of 3.0s")) await delay(10);
  await happens();
  return { ...(await ended), weights: await balancer.weights() };
}

const start = { blue: 100, green: 0 };

test("a version that fails 5% of its requests is over a limit of 3%", async () => {
  const bad = () => {
    balancer.green.failEvery = 20;
  };
  const { error, weights } = await canaryWhile(bad, { bake: "3s", "abort-when": { "error-rate": "> 3%" } });
  expect(error).toMatchObject({ code: "E_CANARY_ABORTED" });
  expect(weights).toEqual(start);
});

test("a version that fails for 1% of its users is found beside the other one, below every limit", async () => {
  const bad = () => {
    balancer.green.failsFor = (cookie) => /uid=user-\d*77$/.test(cookie);
  };
  const { error } = await canaryWhile(bad, { extensions: 10 }, { people: "buckets and testers" });
  // The limit on the error rate says nothing: the comparison alone does.
  expect(error).toMatchObject({
    code: "E_CANARY_ABORTED",
    message: expect.stringMatching(/^green fails, and the others do not: [^;]*e-value[^;]*$/),
  });
});

test("a version that hangs in the middle is no pass", async () => {
  const bad = () => {
    balancer.green.mode = "silent";
  };
  const { error, weights } = await canaryWhile(bad, { steps: ["10%"], extend: "3s" });
  expect(error?.code).toMatch(/^E_CANARY_(ABORTED|INCONCLUSIVE)$/);
  expect(error?.message).toMatch(/have no answer yet|badly|^green fails, and the others do not/);
  expect(weights).toEqual(start);
});

test("a socket that is gone for two seconds is waited for", async () => {
  const { output } = await canaryWhile(async () => {
    await rename(balancer.socket, `${balancer.socket}.away`);
    await delay(2000);
    await rename(`${balancer.socket}.away`, balancer.socket);
  });
  expect(output).toMatchObject({ verdict: "pass", steps: [{ errors: 0 }] });
});

test("a balancer that is restarted in the middle keeps its buckets, and the canary goes on", async () => {
  const restart = async () => {
    await balancer.kill();
    await balancer.run();
  };
  const { output } = await canaryWhile(restart, {}, { people: "buckets and testers" });
  expect(output).toMatchObject({
    verdict: "pass",
    weights: { blue: 500, green: 500 },
    steps: [{ restarts: 1, errors: 0 }],
  });
});

test("an outage that both versions share ends no canary by comparison", async () => {
  const outage = async () => {
    balancer.blue.failEvery = 2;
    balancer.green.failEvery = 2;
    await delay(1000);
    balancer.blue.failEvery = 0;
    balancer.green.failEvery = 0;
  };
  const { output } = await canaryWhile(outage, { "abort-when": { "error-rate": "> 99%" } });
  expect(output).toMatchObject({ verdict: "pass" });
});
