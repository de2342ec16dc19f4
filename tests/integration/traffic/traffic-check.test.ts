import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runtimeCommand } from "../../../src/haproxy/runtime-socket.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { CanaryFiles } from "../../../src/traffic/canary-record.ts";
import { checks } from "../../../src/traffic/checks.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { testContext } from "../../support/context.ts";
import { type Balancer, startBalancer } from "../../support/haproxy.ts";
import { measuredCheck } from "../../support/measured-check.ts";

let balancer: Balancer;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-traffic-check-"));
  balancer = await startBalancer({ check: "check inter 200ms fall 2 rise 1" });
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});
const context = (extra?: object) => testContext(balancer.settings(extra), { directory });
beforeEach(() => openRoute(context().environment, "web").driver.setWeights({ blue: 100, green: 0 }));

function traffic(input: object = {}, limits: object = {}, extra?: object): Promise<CheckResult> {
  return measuredCheck(context(extra), checks, { kind: "traffic", with: input, ...limits });
}

test("a route at rest passes, with the version that every request goes to as evidence", async () => {
  expect(await traffic({ shares: { blue: "100%" } })).toMatchObject({
    status: "pass",
    reason: "route web: blue 100%, green 0%",
    value: 100,
    evidence: {
      versions: [
        { version: "blue", share: 100, health: "up", status: "UP" },
        { version: "green", share: 0 },
      ],
      canary: null,
      kept: null,
    },
  });
});

test("shares that are off by more than the tolerance fail, and a route without traffic does", async () => {
  await balancer.setWeight("green", 10);

  expect(await traffic({ shares: { blue: "100%" } })).toMatchObject({
    status: "fail",
    reason: "route web: blue has 90.91%, and must have 100%",
  });
  expect(await traffic({ shares: { blue: "100%" }, tolerance: "10%" })).toMatchObject({ status: "pass" });
  await balancer.setWeight("blue", 0);
  await balancer.setWeight("green", 0);
  expect((await traffic()).reason).toBe("route web: no version has traffic");
});

test("a canary that is under way, or that a dead process left behind, fails where none is allowed", async () => {
  const files = new CanaryFiles(context(), "web");
  const record = (pid: number, pidStartedAt: string | null) => ({
    token: "t",
    run: null,
    actor: "ann@laptop",
    version: "green",
    before: { blue: 100, green: 0 },
    since: "2026-11-22T01:00:00.000Z",
    process: { host: hostname(), pid, pidStartedAt },
    watchdog: null,
    paused: null,
  });
  try {
    await files.begin(record(process.pid, null));
    expect(await traffic()).toMatchObject({
      status: "fail",
      reason: "route web: a canary of green by ann@laptop is under way since 2026-11-22T01:00:00Z",
    });
    expect(await traffic({ canary: "allow" })).toMatchObject({
      status: "pass",
      evidence: { canary: { actor: "ann@laptop" } },
    });

    await files.begin(record(2 ** 22 + 1, null));
    expect((await traffic()).reason).toContain("is left behind since");
  } finally {
    await files.forget();
  }
});

test("weights that a reload would not bring back are warned of", async () => {
  const extra = { "state-file": balancer.stateFile };
  await openRoute(context(extra).environment, "web").driver.setWeights({ blue: 80, green: 20 });
  expect(await traffic({}, {}, extra)).toMatchObject({ status: "pass", evidence: { kept: true } });

  await balancer.setWeight("green", 30);

  expect(await traffic({}, {}, extra)).toMatchObject({
    status: "warn",
    reason: "route web: blue 72.73%, green 27.27%; a reload of HAProxy brings back other weights",
  });
  await rm(balancer.stateFile, { force: true });
});

test("a version with traffic that is down fails, also where its health counts only by a limit", async () => {
  await runtimeCommand(balancer.socket, "set server web/green health down");
  await balancer.green.kill();
  await expect.poll(() => balancer.isUp("green"), { timeout: 10_000 }).toBe(false);
  expect(await traffic()).toMatchObject({ status: "pass" });

  await balancer.setWeight("green", 25);

  expect(await traffic()).toMatchObject({
    status: "fail",
    reason: expect.stringMatching(/^route web: green has 20% and is DOWN/),
    value: 80,
  });
  expect(await traffic({ health: "skip" })).toMatchObject({ status: "pass" });
});

test("a version that the route has not is told", async () => {
  expect(await traffic({ shares: { grene: "100%" } })).toMatchObject({
    status: "unknown",
    reason: 'The route web has no version "grene"',
  });
});
