import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diagnose } from "../../../src/doctor/diagnose.ts";
import { runtimeCommand } from "../../../src/haproxy/runtime-socket.ts";
import { canary } from "../../../src/traffic/canary.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { RecordingReport, testContext } from "../../support/context.ts";
import { type Balancer, bucketCount, Load, request, startBalancer } from "../../support/haproxy.ts";
import { type ContractSubject, driverContract } from "./driver-contract.ts";

/** A busy machine is no reason to call a version down. */
const slowCheck = "check inter 1s fall 5 rise 1";

describe("HAProxy", () => {
  driverContract(async () => subjectOf(await startBalancer({ check: slowCheck })));
});

describe("HAProxy, by buckets of users", () => {
  driverContract(async () => {
    const balancer = await startBalancer({ check: slowCheck, people: "buckets and testers" });
    const { driver } = openRoute(testContext(balancer.settings()).environment, "web");
    let user = 0;
    return {
      ...subjectOf(balancer),
      async answer() {
        user += 1;
        return (await request(balancer.port, undefined, "/", { cookie: `uid=user-${user}` })).body;
      },
      meddle: () => driver.setWeights({ blue: bucketCount - 33, green: 33 }),
      reset: () => driver.setWeights({ blue: bucketCount, green: 0 }),
      // Maps may be changed at every level of the socket.
      refuseSets: async () => ({
        settings: balancer.settings({ buckets: { map: "/nowhere/web.buckets", count: bucketCount } }),
        end: async () => undefined,
      }),
    };
  });
});

describe("HAProxy with a state file", () => {
  let balancer: Balancer;
  beforeAll(async () => {
    balancer = await startBalancer({ master: true, check: slowCheck });
  });
  afterAll(async () => {
    await balancer?.[Symbol.asyncDispose]();
  });
  const settings = () => balancer.settings({ "state-file": balancer.stateFile });
  const driver = (extra: object = settings()) => openRoute(testContext(extra).environment, "web").driver;

  test("a canary goes on through a reload, and its end outlives another one", async () => {
    await using load = new Load(balancer.port);
    const context = testContext(settings());
    const input = canary.input.parse({
      to: "green",
      steps: ["50%"],
      bake: "2s",
      interval: "100ms",
      compare: { learn: "0s" },
    });
    const before = await canary.observe(context, input);
    const report = new RecordingReport();

    const done = canary.apply(context, input, before, report);
    await expect.poll(() => report.messages.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await balancer.reload();

    expect(await balancer.weights()).toEqual({ blue: 50, green: 50 });
    expect(await done).toMatchObject({ verdict: "pass", steps: [{ share: 50, restarts: 1 }] });
    await balancer.reload();
    expect(await balancer.weights()).toEqual({ blue: 50, green: 50 });
    expect((await load.stop()).answers.green).toBeGreaterThan(0);
  });

  test("the file tells the weights, and nothing else that HAProxy would remember", async () => {
    await driver().setWeights({ blue: 90, green: 10 });
    const lines = (await readFile(balancer.stateFile, "utf8")).trim().split("\n").slice(2);
    await driver().setWeights({ blue: 100, green: 0 });
    const configured = await readFile(balancer.stateFile, "utf8");

    // Running, nobody's maintenance, the weight, the configured weight.
    expect(lines.map((line) => line.split(" ").slice(3, 9))).toEqual([
      ["blue", "127.0.0.1", "2", "0", "90", "100"],
      ["green", "127.0.0.1", "2", "0", "10", "0"],
    ]);
    expect(configured.trim().split("\n")).toHaveLength(2);
  });

  test("after a crash between the weights and the file, the next set writes it", async () => {
    await driver().setWeights({ blue: 100, green: 0 });
    await balancer.setWeight("blue", 90);
    await balancer.setWeight("green", 10);
    const found = await diagnose({ environment: testContext(settings()).environment });

    await driver().setWeights({ blue: 90, green: 10 });
    await balancer.reload();

    expect(await balancer.weights()).toEqual({ blue: 90, green: 10 });
    expect(found).toContainEqual(expect.objectContaining({ subject: "route web", status: "warn" }));
  });

  test("traffic is given back also where the file cannot be written", async () => {
    await driver().setWeights({ blue: 50, green: 50 });
    const broken = balancer.settings({ "state-file": join(balancer.directory, "gone", "web.state") });

    await expect(driver(broken).setWeights({ blue: 100, green: 0 })).rejects.toMatchObject({
      code: "E_HAPROXY_STATE",
      message: expect.stringContaining("The weights are set"),
    });

    expect(await balancer.weights()).toEqual({ blue: 100, green: 0 });
  });
});

test("an algorithm that takes no weights refuses a set, and nobody is left without traffic", async () => {
  await using balancer = await startBalancer({ check: slowCheck, backendLines: ["balance static-rr"] });
  const { driver } = openRoute(testContext(balancer.settings()).environment, "web");

  await expect(driver.setWeights({ blue: 0, green: 100 })).rejects.toMatchObject({
    code: "E_HAPROXY_REFUSED",
    message: expect.stringContaining("static LB algorithm"),
  });

  expect(await driver.weights()).toEqual({ blue: 100, green: 0 });
});

test("without a master process, a new process takes over the weights from the old one", async () => {
  await using balancer = await startBalancer({ check: slowCheck });
  const { driver } = openRoute(
    testContext(balancer.settings({ "state-file": balancer.stateFile })).environment,
    "web",
  );
  await driver.setWeights({ blue: 199, green: 1 });

  await balancer.reload();

  expect(await driver.weights()).toEqual({ blue: 199, green: 1 });
});

function subjectOf(balancer: Balancer): ContractSubject {
  return {
    settings: () => balancer.settings(),
    answer: async () => (await request(balancer.port)).body,
    async rest() {
      const file = await readFile(join(balancer.directory, "haproxy.cfg"), "utf8");
      return `${file}\n${withoutWeights(await runtimeCommand(balancer.socket, "show servers state"))}`;
    },
    meddle: () => balancer.setWeight("green", 33),
    async reset() {
      await balancer.setWeight("blue", 100);
      await balancer.setWeight("green", 0);
    },
    refuseSets: async () => ({
      settings: balancer.settings({ socket: `${balancer.socket}-user` }),
      end: async () => undefined,
    }),
    async goAway() {
      await balancer.kill();
      return () => balancer.run();
    },
    [Symbol.asyncDispose]: () => balancer[Symbol.asyncDispose](),
  };
}

/** Of `show servers state` what neither weights nor health and time change. */
function withoutWeights(state: string): string {
  const lines = state.split("\n").filter((line) => line !== "");
  const columns =
    lines
      .find((line) => line.startsWith("# "))
      ?.split(" ")
      .slice(1) ?? [];
  const isVolatile = (column = "") =>
    ["srv_uweight", "srv_op_state", "srv_time_since_last_change"].includes(column) ||
    column.startsWith("srv_check_");
  return lines
    .map((line) =>
      line
        .split(" ")
        .filter((_, index) => !isVolatile(columns[index]))
        .join(" "),
    )
    .join("\n");
}
