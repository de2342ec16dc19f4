import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canary } from "../../../src/traffic/canary.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, testContext } from "../../support/context.ts";
import { type Balancer, request, startBalancer } from "../../support/haproxy.ts";
import { projectRoot } from "../../support/ops.ts";
import { type ContractSubject, driverContract } from "./driver-contract.ts";

const script = join(projectRoot, "tests/support/traffic-script.mjs");

describe("a script of the team's own", () => {
  driverContract(async () => subjectOf(await startBalancer({ check: "check inter 1s fall 5 rise 1" })));
});

function subjectOf(balancer: Balancer): ContractSubject {
  const freeze = join(balancer.directory, "freeze");
  const settings = () => ({
    routes: {
      web: {
        driver: "exec",
        get: [process.execPath, script, "get"],
        set: [process.execPath, script, "set"],
        variables: ["BALANCER_SOCKET", "BALANCER_FREEZE"],
        versions: { blue: "blue", green: "green" },
      },
    },
  });
  process.env.BALANCER_SOCKET = balancer.socket;
  process.env.BALANCER_FREEZE = freeze;
  return {
    settings,
    answer: async () => (await request(balancer.port)).body,
    rest: () => readFile(join(balancer.directory, "haproxy.cfg"), "utf8"),
    meddle: () => balancer.setWeight("green", 33),
    async reset() {
      await balancer.setWeight("blue", 100);
      await balancer.setWeight("green", 0);
    },
    async refuseSets() {
      await writeFile(freeze, "");
      return { settings: settings(), end: () => rm(freeze) };
    },
    async goAway() {
      await balancer.kill();
      return () => balancer.run();
    },
    async [Symbol.asyncDispose]() {
      delete process.env.BALANCER_SOCKET;
      delete process.env.BALANCER_FREEZE;
      await balancer[Symbol.asyncDispose]();
    },
  };
}

describe("what a script may do wrong", () => {
  const route = (get: string, extra: object = {}) => ({
    routes: {
      web: {
        driver: "exec",
        get: ["/bin/sh", "-c", get],
        set: ["/bin/sh", "-c", "cat >/dev/null"],
        versions: { blue: "b", green: "g" },
        ...extra,
      },
    },
  });
  const weights = (get: string, extra: object = {}) =>
    openRoute(testContext(route(get, extra)).environment, "web").driver.weights();
  const good = `echo '{"weights": {"blue": 90, "green": 10}}'`;

  test.each([
    ["prints nothing", "true", "it printed nothing"],
    ["prints no JSON", "echo blue=90", "is not valid JSON"],
    ["prints something before its JSON", `echo asking; ${good}`, "is not valid JSON"],
    ["leaves a version out", `echo '{"weights": {"blue": 90}}'`, 'no weight for the version "green"'],
    [
      "prints a weight that is none",
      `echo '{"weights": {"blue": 90, "green": "10%"}}'`,
      'at weights.green: expected a number, found the text "10%"',
    ],
    ["prints a fraction", `echo '{"weights": {"blue": 90, "green": 0.5}}'`, "at weights.green: "],
    ["prints a negative weight", `echo '{"weights": {"blue": 90, "green": -1}}'`, "must be 0 or more"],
  ])("%s", async (_, get, message) => {
    await expect(weights(get)).rejects.toMatchObject({
      code: "E_TRAFFIC_SCRIPT_ANSWER",
      message: expect.stringContaining(message),
      hint: 'it must print {"weights":{"blue":100,"green":0}} and nothing else on standard output',
      retryable: false,
    });
  });

  test("names a version that the route does not have, with traffic", async () => {
    await expect(weights(`echo '{"weights": {"blue": 80, "green": 10, "gren": 10}}'`)).rejects.toMatchObject({
      code: "E_ROUTE_SERVER",
      exitCode: 2,
      hint: expect.stringContaining('did you mean "green"?'),
    });
  });

  test("fails: its last line is the reason, without the secrets in it", async () => {
    process.env.BALANCER_TOKEN = "s3cr3t-token-value";
    const failing = weights('echo "no access with $BALANCER_TOKEN" >&2; exit 7', {
      variables: ["BALANCER_TOKEN"],
    });

    await expect(failing).rejects.toMatchObject({
      code: "E_TRAFFIC_SCRIPT",
      message: expect.stringMatching(/failed with exit code 7: no access with \*\*\*$/),
    });
    delete process.env.BALANCER_TOKEN;
  });

  test("gets no more of the environment than it was promised", async () => {
    process.env.OPS_UNRELATED = "x";
    const found = await weights(`test -z "$OPS_UNRELATED" && ${good}`);

    expect(found).toEqual({ blue: 90, green: 10 });
    delete process.env.OPS_UNRELATED;
  });

  test("hangs: it and its children are ended in time", async () => {
    await expect(weights("sleep 60 & wait", { timeout: "300ms" })).rejects.toMatchObject({
      code: "E_TRAFFIC_SCRIPT",
      message: expect.stringContaining("did not end within 300ms"),
    });
  });

  test("says that it set what it did not", async () => {
    const { driver } = openRoute(testContext(route(good)).environment, "web");

    await expect(driver.setWeights({ blue: 50, green: 50 })).rejects.toMatchObject({
      code: "E_WEIGHT_NOT_SET",
    });
  });

  test("is not there", async () => {
    const settings = route(good, { get: ["./no-such-script"] });

    await expect(perform(status, testContext(settings), {})).rejects.toMatchObject({
      code: "E_PROGRAM_MISSING",
    });
  });

  test("counts no requests: a canary says so before anything is touched, a status shows the weights", async () => {
    const context = testContext(route(good));

    await expect(perform(canary, context, { to: "green" })).rejects.toMatchObject({
      code: "E_REQUEST_SOURCE",
      exitCode: 2,
      message: expect.stringContaining("the driver exec only sets weights"),
    });
    const { output } = await perform(status, context, {});
    expect(output).toMatchObject({
      versions: [{ version: "blue", share: 90, requests: null, health: "unknown" }, {}],
      uncounted: expect.stringContaining("metrics"),
    });
  });
});
