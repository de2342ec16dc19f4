import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { canary } from "../../../src/traffic/canary.ts";
import { perform, testContext } from "../../support/context.ts";
import { arns, forwardRule, startElb, type TestElb, weightsIn } from "../../support/elb-server.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";
import { httpRoute, startKubernetes, type TestKubernetes } from "../../support/kubernetes-server.ts";
import { weightedChoice } from "../../support/weighted-choice.ts";

/** Canaries over the stubs of both clouds, counted as JSON by an application that is one too: it follows the weights in force. */
let elb: TestElb;
let cluster: TestKubernetes;
let counts: TestHttpServer;
let folder: string;
const [id, rule, key] = ["0123456789abcdef", arns.rule("0123456789abcdef"), "shop/web"];

/** Where the application's requests go, and how many of green's are bad: every n-th. */
let inForce: () => Record<string, number>;
let failEvery = 0;
const counted: Record<string, { requests: number; bad: number }> = {};

beforeAll(async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "test-id", AWS_SECRET_ACCESS_KEY: "test-secret" });
  [elb, cluster] = await Promise.all([startElb(), startKubernetes()]);
  folder = await mkdtemp(join(tmpdir(), "ops-cloud-"));
  await writeKubeconfig(folder, { server: cluster.url });
  const choose = weightedChoice();
  counts = await startHttpServer((_, response) => {
    for (let request = 0; request < 100; request += 1) {
      const own = counted[choose(inForce()).replace("web-", "")];
      if (own === undefined) continue;
      own.requests += 1;
      if (own === counted.green && failEvery > 0 && own.requests % failEvery === 0) own.bad += 1;
    }
    response.end(JSON.stringify(counted));
  });
});
afterAll(async () => {
  await Promise.all([elb?.stop(), cluster?.stop(), counts?.stop()]);
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  failEvery = 0;
  Object.assign(counted, { blue: { requests: 0, bad: 0 }, green: { requests: 0, bad: 0 } });
  elb.rules.set(rule, forwardRule(id, { "web-blue": 100, "web-green": 0 }));
  for (const name of ["web-blue", "web-green"]) elb.targets.set(arns.group(name), ["healthy"]);
  cluster.httpRoutes.set(key, httpRoute("web", { "web-blue": 100, "web-green": 0 }));
});

const common = () => ({
  versions: { blue: "web-blue", green: "web-green" },
  metrics: {
    source: "json",
    url: counts.url,
    requests: "$.{{version}}.requests",
    bad: "$.{{version}}.bad",
  },
});
const alb = () => {
  inForce = () => weightsIn(elb.rules.get(rule));
  return { driver: "alb", "listener-rule": rule, endpoint: elb.url, ...common() };
};
const gateway = () => {
  inForce = () => cluster.weightsInForce(key);
  return { driver: "gateway-api", "http-route": "web", kubeconfig: join(folder, "config"), ...common() };
};
const roll = (route: object, input: object = {}) =>
  perform(canary, testContext({ routes: { web: route } }, { directory: folder }), {
    to: "green",
    bake: "500ms",
    extend: "500ms",
    deadline: "3s",
    interval: "50ms",
    compare: { learn: "0s" },
    ...input,
  });

describe.each([
  ["alb", alb],
  ["gateway-api", gateway],
])("a canary over %s", (_, route) => {
  test("gives a healthy version all traffic, confirmed at each step by what was counted", async () => {
    const { output } = await roll(route(), { steps: ["10%", "100%"] });

    expect(output).toMatchObject({
      verdict: "pass",
      weights: { blue: 0, green: 100 },
      steps: [{ share: 10 }, { share: 100 }],
    });
    expect(inForce()).toEqual({ "web-blue": 0, "web-green": 100 });
  });

  test("gives the traffic of a version back that fails", async () => {
    failEvery = 4;

    await expect(roll(route())).rejects.toMatchObject({ code: "E_CANARY_ABORTED" });

    expect(inForce()).toEqual({ "web-blue": 100, "web-green": 0 });
  });

  test("leaves the weights alone that somebody else sets in the middle of it", async () => {
    const settings = route();
    const running = roll(settings, { steps: ["10%"], bake: "10s" });
    const end = expect(running).rejects.toMatchObject({ code: "E_TRAFFIC_DRIFT" });
    await expect.poll(() => inForce()["web-green"], { timeout: 5_000 }).toBe(10);
    elb.rules.set(rule, forwardRule(id, { "web-blue": 60, "web-green": 40 }));
    cluster.change(key, (spec) => {
      for (const each of spec.rules[1]?.backendRefs ?? []) each.weight = each.name === "web-blue" ? 60 : 40;
    });

    await end;

    await expect.poll(inForce).toEqual({ "web-blue": 60, "web-green": 40 });
  });
});
