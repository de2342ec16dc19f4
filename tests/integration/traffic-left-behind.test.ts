import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Balancer, Load, startBalancer } from "../support/haproxy.ts";
import { ops, projectRoot } from "../support/ops.ts";
import { until } from "./wal/setting.ts";

const start = { blue: 100, green: 0 };
const tenth = { blue: 90, green: 10 };

let balancer: Balancer;
let load: Load;
let directory: string;
let config: string;

beforeEach(async () => {
  balancer = await startBalancer();
  load = new Load(balancer.port);
  directory = await mkdtemp(join(tmpdir(), "ops-left-"));
  config = join(directory, "opsrc.yaml");
  await writeFile(config, JSON.stringify(balancer.settings()));
});
afterEach(async () => {
  await load.stop();
  await balancer[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** The built command in a process of its own, killed when its first step has its weights. */
async function killedAtTenth(
  more: readonly string[],
  beforeKill: () => Promise<void> = async () => undefined,
) {
  const words = ["traffic", "canary", "green", "--bake", "60s", "--compare", "learn=0s", "--yes"];
  const child: ChildProcess = spawn(
    process.execPath,
    [join(projectRoot, "bin/ops"), ...words, "--config", config, ...more],
    { cwd: directory, stdio: "ignore" },
  );
  // Both weights of the step: they are set one after the other.
  const shown = async () => JSON.stringify(await balancer.weights());
  await until(async () => (await shown()) === JSON.stringify(tenth), "the first step");
  await beforeKill();
  const died = once(child, "exit");
  child.kill("SIGKILL");
  await died;
}

test("a version that was renamed since is not taken for one without weight: nothing is set", async () => {
  await killedAtTenth(["--on-crash", "hold"]);
  await writeFile(config, JSON.stringify(balancer.settings({ versions: { old: "blue", green: "green" } })));

  const result = await ops(["traffic", "abort", "--json"], { config, cwd: directory });

  expect(result.exitCode).toBe(2);
  expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "E_VERSION" } });
  expect(await balancer.weights()).toEqual(tenth);
});

test("what was before a canary does not come back once somebody has set the weights", async () => {
  await killedAtTenth(["--on-crash", "hold"]);
  const shift = await ops(["traffic", "shift", "green", "--confirm", "0s", "--yes"], {
    config,
    cwd: directory,
  });
  expect(shift.exitCode).toBe(0);

  const result = await ops(["traffic", "abort"], { config, cwd: directory });

  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain("E_NO_CANARY");
  expect(await balancer.weights()).toEqual({ blue: 0, green: 100 });
});

test("a watchdog whose balancer is away tries again until the traffic is back", async () => {
  await killedAtTenth([], () => balancer.kill());
  await delay(1500);
  await balancer.run(tenth);

  await until(async () => (await balancer.weights()).green === 0, "the traffic to be back");

  expect(await balancer.weights()).toEqual(start);
});
