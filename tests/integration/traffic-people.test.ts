import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import type { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { OpsError } from "../../src/core/errors.ts";
import { abort } from "../../src/traffic/abort.ts";
import { canary } from "../../src/traffic/canary.ts";
import { promote } from "../../src/traffic/promote.ts";
import { shift } from "../../src/traffic/shift.ts";
import { addTesters, listTesters, removeTesters } from "../../src/traffic/testers-operations.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { type Balancer, bucketCount, Load, request, startBalancer } from "../support/haproxy.ts";
import { keepingAgent } from "../support/load.ts";
import { until } from "./wal/setting.ts";

const everybody = Array.from({ length: 1000 }, (_, index) => `user-${index}`);
const input = { to: "green", bake: "200ms", interval: "50ms", "min-requests": 5, compare: { learn: "0s" } };

let balancer: Balancer;
let agent: Agent;
let directory: string;

beforeAll(async () => {
  balancer = await startBalancer({ people: "buckets and testers" });
  balancer.blue.latency = 0;
  balancer.green.latency = 0;
  agent = keepingAgent(20);
});
afterAll(async () => {
  agent.destroy();
  await balancer[Symbol.asyncDispose]();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-people-"));
});
afterEach(async () => {
  balancer.green.failEvery = 0;
  await perform(shift, context(), { to: "blue", confirm: "0s" });
  await rm(directory, { recursive: true, force: true });
});

const context = () => testContext(balancer.settings(), { directory });

/** The version that this user gets. */
const versionOf = async (user: string, headers: Record<string, string> = {}) =>
  (await request(balancer.port, agent, "/", { cookie: `uid=${user}`, ...headers })).body;

/** Which of all users get the new version. */
async function usersOfGreen(): Promise<Set<string>> {
  const versions = await Promise.all(everybody.map((user) => versionOf(user)));
  return new Set(everybody.filter((_, index) => versions[index] === "green"));
}

const file = (name: string) => readFile(join(balancer.directory, name), "utf8");
const bucketsOfGreen = async () => (await file("web.buckets")).match(/ green$/gm)?.length ?? 0;

async function begun(more: object) {
  const own = context();
  const parsed = canary.input.parse({ ...input, ...more });
  const before = await canary.observe(own, parsed);
  const report = new RecordingReport();
  const ended = canary.apply(own, parsed, before, report).then(
    (output) => ({ output, error: undefined }),
    (error: OpsError) => ({ output: undefined, error }),
  );
  return { report, ended };
}

/** Users who ask all the time, while something is done. */
async function underLoad<T>(work: () => Promise<T>): Promise<T> {
  await using _load = new Load(balancer.port, 4, 1, everybody.length);
  return await work();
}

test("on a ramp no user falls back, an abort beats every cookie, and a restart of the balancer brings nobody back", async () => {
  const seen: Set<string>[] = [];
  await underLoad(async () => {
    const { report, ended } = await begun({
      steps: ["10%", "pause", "50%", "pause"],
      testers: ["alice"],
    });
    for (const _ of [10, 50]) {
      const asked = seen.length + 1;
      await until(async () => report.checkpoints.filter(isPaused).length === asked, "the pause");
      await until(async () => report.messages.at(-1)?.includes("paused for") === true, "the wait");
      seen.push(await usersOfGreen());
      expect(await versionOf("user-1", { "x-tester": "alice" })).toBe("green");
      expect(await versionOf("user-1", { cookie: "uid=user-1; tester=alice" })).toBe("green");
      if (asked === 1) await perform(promote, context(), {});
    }
    expect(await bucketsOfGreen()).toBe(bucketCount / 2);
    await perform(abort, context(), { reason: "the kill" });
    expect((await ended).error).toMatchObject({ code: "E_CANARY_ABORTED" });
  });

  const [tenth = new Set(), half = new Set()] = seen;
  expect(tenth.size).toBeGreaterThan(70);
  expect(tenth.size).toBeLessThan(130);
  expect(half.size).toBeGreaterThan(440);
  expect(half.size).toBeLessThan(560);
  expect([...tenth].filter((user) => !half.has(user))).toEqual([]);
  expect((await usersOfGreen()).size).toBe(0);
  expect(await versionOf("user-1", { cookie: "uid=user-1; tester=alice" })).toBe("blue");
  expect(await bucketsOfGreen()).toBe(0);
  await balancer.kill();
  await balancer.run();
  expect((await usersOfGreen()).size).toBe(0);
  expect(await versionOf("user-1", { "x-tester": "alice" })).toBe("blue");
});

const isPaused = (each: unknown) => (each as { phase: string }).phase === "paused";

test("testers have the version before any share is given, and it is judged by what they get", async () => {
  const { report, ended } = await begun({ steps: ["pause", "10%"], testers: ["alice", "bob"] });
  await until(async () => report.messages.at(-1)?.includes("paused for") === true, "the pause");
  expect(await versionOf("user-1", { "x-tester": "bob" })).toBe("green");
  expect((await usersOfGreen()).size).toBe(0);
  balancer.green.failEvery = 2;
  for (let asked = 0; asked < 30; asked += 1) await versionOf("user-1", { "x-tester": "bob" });

  const { error } = await ended;
  expect(error).toMatchObject({
    code: "E_CANARY_ABORTED",
    message: expect.stringMatching(/^green answered \d+ of \d+ requests badly .* at 0%$/),
  });
  expect(await versionOf("user-1", { "x-tester": "bob" })).toBe("blue");
});

test("testers are no part of the share, and stay where a share is left to others", async () => {
  await underLoad(async () => {
    const { ended } = await begun({ steps: ["10%"], testers: ["alice"] });
    let isOver = false;
    const asking = (async () => {
      while (!isOver) await versionOf("user-2", { "x-tester": "alice" });
    })();
    const { output, error } = await ended;
    isOver = true;
    await asking;
    expect(error).toBeUndefined();
    const { steps } = output as { steps: { observedShare: number }[] };
    expect(steps[0]?.observedShare).toBeLessThan(20);
  });
  const { output } = await perform(listTesters, context(), {});
  expect(output).toEqual({ route: "web", testers: [{ tester: "alice", version: "green" }] });
  await underLoad(async () => {
    const whole = await perform(canary, context(), { ...input, "skip-bake": "a fix" });
    expect((await perform(listTesters, context(), {})).output).toMatchObject({ testers: [] });
    await whole.undo();
  });
});

test("testers are added and removed by themselves, kept over a restart, and taken back", async () => {
  const added = await perform(addTesters, context(), {
    version: "green",
    testers: ["alice", "team+a@example.com"],
  });
  expect(added.changes.map(({ summary }) => summary)).toEqual([
    "send alice to green",
    "send team+a@example.com to green",
  ]);
  await balancer.kill();
  await balancer.run();
  expect(await versionOf("user-1", { "x-tester": "team+a@example.com" })).toBe("green");

  const removed = await perform(removeTesters, context(), { testers: ["alice", "nobody"] });
  expect(removed.changes).toHaveLength(1);
  expect(await versionOf("user-1", { "x-tester": "alice" })).toBe("blue");
  await removed.undo();
  expect(await versionOf("user-1", { "x-tester": "alice" })).toBe("green");
  await added.undo();
  expect(await file("web.testers")).not.toContain("green");
  const again = { version: "green", testers: ["alice; disable server web/blue"] };
  expect(addTesters.input.safeParse(again).success).toBe(false);
});

test("what is not configured is said before anything is changed", async () => {
  const wrong = async (settings: object, given: object = {}) =>
    perform(canary, testContext(balancer.settings(settings), { directory }), { ...input, ...given }).then(
      () => ({ code: "none" }),
      ({ code, exitCode }: OpsError) => ({ code, exitCode }),
    );
  const map = join(balancer.directory, "web.buckets");
  const usage = (code: string) => ({ code, exitCode: 2 });

  expect(await wrong({ testers: undefined }, { testers: ["alice"] })).toEqual(usage("E_TESTERS"));
  expect(await wrong({ buckets: { map: "/nowhere/web.buckets" } })).toEqual(usage("E_HAPROXY_MAP"));
  expect(await wrong({ buckets: { map, count: 2000 } })).toEqual(usage("E_BUCKETS"));
  await rename(map, `${map}.away`);
  expect(await wrong({})).toEqual(usage("E_MAP_FILE"));
  await rename(`${map}.away`, map);
  expect((await usersOfGreen()).size).toBe(0);
});
