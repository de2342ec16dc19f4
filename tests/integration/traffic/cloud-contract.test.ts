import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { arns, type Fields, forwardRule, startElb, weightsIn } from "../../support/elb-server.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";
import { httpRoute, startKubernetes } from "../../support/kubernetes-server.ts";
import { weightedChoice } from "../../support/weighted-choice.ts";
import { type ContractSubject, driverContract } from "./driver-contract.ts";

/** The drivers of the two clouds, over stubs of their wire protocols. The requests are stubs too: chosen by the weights in force. */
describe("alb, over a stub", () => driverContract(startAlb));
describe("gateway-api, over a stub", () => driverContract(startGateway));

async function startAlb(): Promise<ContractSubject> {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "test-id", AWS_SECRET_ACCESS_KEY: "test-secret" });
  const elb = await startElb();
  for (const name of ["web-blue", "web-green"]) elb.targets.set(arns.group(name), ["healthy"]);
  const choose = weightedChoice();
  const [id, rule] = ["0123456789abcdef", arns.rule("0123456789abcdef")];
  const split = (blue: number, green: number) =>
    elb.rules.set(rule, forwardRule(id, { "web-blue": blue, "web-old": 0, "web-green": green }));
  const settings = () => ({
    routes: {
      web: {
        driver: "alb",
        "listener-rule": rule,
        endpoint: elb.url,
        versions: { blue: "web-blue", green: "web-green" },
      },
    },
  });
  return {
    settings,
    answer: async () => choose(weightsIn(elb.rules.get(rule))).replace("web-", ""),
    rest: async () => withoutWeights(elb.rules.get(rule) as Fields),
    meddle: async () => void split(33, 67),
    reset: async () => void split(100, 0),
    refuseSets: async () => {
      elb.denied.add("ModifyRule");
      return { settings: settings(), end: async () => void elb.denied.clear() };
    },
    goAway: async () => {
      elb.away = true;
      return async () => {
        elb.away = false;
      };
    },
    [Symbol.asyncDispose]: () => elb.stop(),
  };
}

async function startGateway(): Promise<ContractSubject> {
  const cluster = await startKubernetes();
  const folder = await mkdtemp(join(tmpdir(), "ops-contract-"));
  const kubeconfig = await writeKubeconfig(folder, { server: cluster.url });
  for (const service of ["web-blue", "web-green"]) cluster.endpoints.set(service, [true]);
  const choose = weightedChoice();
  const [key, versions] = ["shop/web", { blue: "web-blue", green: "web-green" }];
  cluster.httpRoutes.set(key, httpRoute("web", { "web-blue": 100, "web-old": 0, "web-green": 0 }));
  const split = (weights: Readonly<Record<string, number>>) =>
    cluster.change(key, (spec) => {
      for (const each of spec.rules[1]?.backendRefs ?? []) each.weight = weights[each.name] ?? 0;
    });
  const settings = () => ({
    routes: {
      web: { driver: "gateway-api", "http-route": "web", kubeconfig, versions, "accept-within": "5s" },
    },
  });
  return {
    settings,
    answer: async () => choose(cluster.weightsInForce(key)).replace("web-", ""),
    rest: async () => withoutWeights(cluster.httpRoutes.get(key)?.spec ?? {}),
    meddle: async () => split({ "web-blue": 33, "web-green": 67 }),
    reset: async () => {
      const { delay } = cluster.controller;
      cluster.controller.delay = 0;
      split({ "web-blue": 100 });
      cluster.controller.delay = delay;
      await untilAccepted(() => cluster.weightsInForce(key)["web-blue"] === 100);
    },
    refuseSets: async () => {
      cluster.denied.add("patch httproutes");
      return { settings: settings(), end: async () => void cluster.denied.clear() };
    },
    goAway: async () => {
      cluster.away = true;
      return async () => {
        cluster.away = false;
      };
    },
    [Symbol.asyncDispose]: async () => {
      await cluster.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilAccepted(isAccepted: () => boolean): Promise<void> {
  while (!isAccepted()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Also of groups and backends that belong to no version, which keep their 0. */
function withoutWeights(value: object): string {
  return JSON.stringify(value, (key, each) =>
    /^weight$/i.test(key) && Number(each) !== 0 ? undefined : each,
  );
}
