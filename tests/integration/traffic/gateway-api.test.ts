import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GatewayRouteTarget } from "../../../src/config/environment.ts";
import { routeFinding } from "../../../src/doctor/route.ts";
import { gatewayDriver } from "../../../src/traffic/drivers/gateway-api.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, testContext } from "../../support/context.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";
import { httpRoute, startKubernetes, type TestKubernetes } from "../../support/kubernetes-server.ts";

/** Against a stub of the API server's wire protocol (tests/support/kubernetes-server.ts); no gateway stands behind it. */
let cluster: TestKubernetes;
let folder: string;
let kubeconfig: string;
beforeAll(async () => {
  cluster = await startKubernetes();
  folder = await mkdtemp(join(tmpdir(), "ops-gateway-"));
  kubeconfig = await writeKubeconfig(folder, { server: cluster.url });
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true, force: true });
});
const key = "shop/web";
beforeEach(() => {
  cluster.httpRoutes.clear();
  cluster.denied.clear();
  cluster.failure = undefined;
  cluster.controller = { verdict: "accepts", delay: 20 };
  cluster.httpRoutes.set(key, httpRoute("web", { "web-blue": 100, "web-old": 0, "web-green": 0 }));
  for (const service of ["web-blue", "web-green"]) cluster.endpoints.set(service, [true, true]);
  cluster.requests.length = 0;
});

const versions = { blue: "web-blue", green: "web-green" };
const settings = (extra: object = {}) => ({
  routes: {
    web: {
      driver: "gateway-api",
      "http-route": "web",
      kubeconfig,
      versions,
      "accept-within": "300ms",
      ...extra,
    },
  },
});
const driver = (extra: object = {}) =>
  gatewayDriver(testContext(settings(extra)).environment.route() as GatewayRouteTarget);
const toGreen = { to: "green", share: "10%", confirm: "0s" };
const give = (extra: object = {}) => perform(shift, testContext(settings(extra)), toGreen);
const patches = () => cluster.requests.filter((each) => each.method === "PATCH");
const [old, wanted] = [
  { blue: 100, green: 0 },
  { blue: 90, green: 10 },
] as const;

describe("a shift", () => {
  test("changes the two weights and nothing else, and waits until the gateway has accepted them", async () => {
    cluster.controller.delay = 150;
    const before = structuredClone(cluster.httpRoutes.get(key)?.spec);

    const { output } = await give();

    expect(output).toMatchObject({ weights: wanted, confirmed: false });
    const after = structuredClone(cluster.httpRoutes.get(key));
    expect(after?.status).toMatchObject({
      parents: [{ conditions: [{ status: "True", observedGeneration: 2 }, {}] }],
    });
    expect(cluster.weights(key)).toEqual({ "web-blue": 90, "web-old": 0, "web-green": 10 });
    for (const backend of after?.spec.rules[1]?.backendRefs ?? [])
      backend.weight = backend.name === "web-blue" ? 100 : 0;
    expect(after?.spec).toEqual(before);
    expect(patches()).toHaveLength(1);
  });

  test("is taken back by its undo", async () => {
    const { undo } = await give();

    await undo();

    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100, "web-green": 0 });
  });

  test("that was killed before the gateway had accepted it waits for that when it is done again", async () => {
    cluster.controller.verdict = "silent";
    cluster.change(key, (spec) => {
      for (const each of spec.rules[1]?.backendRefs ?? []) each.weight = each.name === "web-blue" ? 90 : 10;
      (spec.rules[1]?.backendRefs[1] ?? { weight: 0 }).weight = 0;
    });

    await expect(driver().setWeights(wanted)).rejects.toMatchObject({ code: "E_ROUTE_NOT_ACCEPTED" });
    expect(patches()).toHaveLength(0);
  });

  test("goes on where the API server is busy for a moment or asks to wait", async () => {
    cluster.failure = { status: 429, requests: 1, retryAfter: 0 };
    await give();
    cluster.failure = { status: 503, requests: 2 };
    await driver().setWeights(old);

    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100, "web-green": 0 });
  });
});

describe("what the gateway does not accept", () => {
  test("is put back, with what the gateway says", async () => {
    cluster.controller.verdict = "refuses";

    await expect(give()).rejects.toMatchObject({
      code: "E_ROUTE_NOT_ACCEPTED",
      message:
        "The weights of HTTPRoute web are not in force: Gateway shop/public (https) refuses them " +
        "(Accepted: UnsupportedValue: no such weights here); it has blue 100%, green 0% again",
    });
    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100, "web-green": 0 });
  });

  test("is put back where the gateway says nothing for too long", async () => {
    cluster.controller.verdict = "silent";

    await expect(give()).rejects.toMatchObject({
      code: "E_ROUTE_NOT_ACCEPTED",
      message: expect.stringContaining(
        "Gateway shop/public (https) has said nothing of them for 300ms; it has",
      ),
    });
    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100, "web-green": 0 });
  });
});

describe("somebody else's change", () => {
  const theirs = () =>
    cluster.change(key, (spec) => {
      for (const each of spec.rules[1]?.backendRefs ?? []) each.weight = 50;
    });

  test("of the weights, in the moment before the patch, makes its test fail: drift, and theirs stay", async () => {
    cluster.beforePatch = theirs;

    await expect(driver().setWeights(wanted, undefined, old)).rejects.toMatchObject({
      code: "E_TRAFFIC_DRIFT",
    });
    expect(cluster.weights(key)).toMatchObject({ "web-blue": 50, "web-green": 50 });
  });

  test("of the weights does not stop who gives traffic back", async () => {
    cluster.change(key, (spec) => {
      for (const each of spec.rules[1]?.backendRefs ?? []) each.weight = each.name === "web-old" ? 0 : 5;
    });
    cluster.beforePatch = theirs;

    await driver().setWeights(old);

    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100, "web-green": 0 });
  });

  test("of something else, rules in another order too, is kept and the patch done again", async () => {
    cluster.beforePatch = () =>
      cluster.change(key, (spec) => {
        spec.rules.reverse();
        spec.parentRefs.push({ name: "public", sectionName: "https" });
      });

    await driver().setWeights(wanted, undefined, old);

    expect(cluster.weights(key, 0)).toMatchObject({ "web-blue": 90, "web-green": 10 });
    expect(cluster.weights(key, 1)).toEqual({ "web-tests": 1 });
    expect(cluster.httpRoutes.get(key)?.spec.parentRefs).toHaveLength(2);
    expect(patches()).toHaveLength(2);
  });

  test("of the whole object, which was made anew, is not mistaken for the old one", async () => {
    cluster.beforePatch = () => {
      const again = httpRoute("web", { "web-blue": 100, "web-green": 0 });
      again.metadata.uid = "another";
      again.spec.rules.reverse();
      cluster.httpRoutes.set(key, again);
    };

    await driver().setWeights(wanted, undefined, old);

    expect(cluster.weights(key, 0)).toEqual({ "web-blue": 90, "web-green": 10 });
  });

  test("a backend that takes traffic beside the versions is refused", async () => {
    theirs();

    await expect(give()).rejects.toMatchObject({
      code: "E_ROUTE_SERVER",
      message: expect.stringContaining("web-old"),
    });
    expect(patches()).toHaveLength(0);
  });
});

describe("traffic.status", () => {
  test("shows how many pods are ready; a Service without EndpointSlices has no health", async () => {
    cluster.endpoints.set("web-blue", [true, false]);
    cluster.endpoints.delete("web-green");

    const { output } = await perform(status, testContext(settings()), {});

    expect(output).toMatchObject({
      versions: [
        { server: "web-blue", weight: 100, health: "failing", status: "1 of 2 ready" },
        { server: "web-green", weight: 0, health: "unknown", status: "-" },
      ],
    });
  });

  test("a version without a pod that is ready gets no traffic", async () => {
    cluster.endpoints.set("web-green", []);

    await expect(give()).rejects.toMatchObject({ code: "E_VERSION_DOWN" });
  });

  test("works without the right to list EndpointSlices", async () => {
    cluster.denied.add("list endpointslices");

    expect((await give()).output).toMatchObject({ weights: wanted });
  });
});

describe("what cannot work is said before anything is changed", () => {
  test.each([
    ["an HTTPRoute that is not there", { "http-route": "webb" }, "E_ROUTE_RULE", 'did you mean "web"?'],
    [
      "a Service that is no backend",
      { versions: { blue: "web-blue", green: "web-gren" } },
      "E_ROUTE_SERVER",
      "web-green",
    ],
    ["a rule's name that is not there", { rule: "splt" }, "E_ROUTE_RULE", 'did you mean "split"?'],
    ["a rule's place that is not there", { rule: 5 }, "E_ROUTE_RULE", "its rules are 0 to 1"],
    ["a rule without the versions", { rule: 0 }, "E_ROUTE_SERVER", "web-tests"],
    ["a context that is not there", { context: "tset" }, "E_KUBERNETES_CONFIG", 'did you mean "test"?'],
    [
      "a kubeconfig that is not there",
      { kubeconfig: "/nonexistent/config" },
      "E_KUBERNETES_CONFIG",
      "kubeconfig:",
    ],
  ])("%s", async (_, extra, code, hint) => {
    await expect(give(extra)).rejects.toMatchObject({
      code,
      exitCode: 2,
      hint: expect.stringContaining(hint),
    });
    expect(patches()).toHaveLength(0);
  });

  test("two rules that both split, until one is named", async () => {
    cluster.change(key, (spec) => spec.rules.push(structuredClone(spec.rules[1] ?? { backendRefs: [] })));
    await expect(give()).rejects.toMatchObject({
      code: "E_ROUTE_RULE",
      hint: expect.stringContaining('"rule:"'),
    });

    await give({ rule: 2 });

    expect(cluster.weights(key, 2)).toMatchObject({ "web-green": 10 });
    expect(cluster.weights(key, 1)).toMatchObject({ "web-green": 0 });
  });

  test.each(["get httproutes", "patch httproutes"])("a right that is missing: %s", async (verb) => {
    cluster.denied.add(verb);

    await expect(give()).rejects.toMatchObject({
      code: "E_KUBERNETES_DENIED",
      hint: expect.stringContaining(`allow: ${verb}.gateway.networking.k8s.io in the namespace shop`),
    });
    expect(cluster.weights(key)).toMatchObject({ "web-green": 0 });
  });

  test("weights that the API server does not take stay as they were", async () => {
    await expect(driver().setWeights({ blue: 2_000_000, green: 1 })).rejects.toMatchObject({
      code: "E_KUBERNETES",
      cause: expect.stringContaining("should be less than"),
    });
    expect(cluster.weights(key)).toMatchObject({ "web-blue": 100 });
  });

  test("a cluster without the Gateway API, and one that is not there", async () => {
    const elsewhere = await writeKubeconfig(folder, { server: `${cluster.url}/k8s/other` }, "other");
    await expect(give({ kubeconfig: elsewhere })).rejects.toMatchObject({
      code: "E_ROUTE_RULE",
      message: expect.stringContaining("does not know HTTPRoutes"),
    });

    const nowhere = await writeKubeconfig(folder, { server: "http://127.0.0.1:9" }, "nowhere");
    await expect(give({ kubeconfig: nowhere })).rejects.toMatchObject({ code: "E_KUBERNETES_UNREACHABLE" });
  });
});

describe("ops doctor", () => {
  const finding = () =>
    routeFinding(testContext(settings()).environment, "web", new AbortController().signal);

  test("says what is split, and what stands in the way", async () => {
    expect(await finding()).toMatchObject({
      status: "ok",
      message: expect.stringContaining("web-blue (100)"),
    });

    cluster.denied.add("patch httproutes");
    expect(await finding()).toMatchObject({
      status: "missing",
      mend: expect.stringContaining("allow: patch"),
    });
  });
});
