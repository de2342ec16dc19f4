import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { disable } from "../../../src/pool/disable.ts";
import { drain } from "../../../src/pool/drain.ts";
import { enable } from "../../../src/pool/enable.ts";
import { list } from "../../../src/pool/list.ts";
import { show } from "../../../src/pool/show.ts";
import { weight } from "../../../src/pool/weight.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { Load, request } from "../../support/haproxy.ts";
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
  for (const server of Object.values(balancer.servers)) server.mode = "answer";
  await balancer.reset();
});

const context = (extra?: object) => testContext(balancer.settings(extra));
const states = async () => {
  const { output } = await perform(show, context(), {});
  const { servers } = output as { servers: { server: string; state: string; weight: number }[] };
  return Object.fromEntries(servers.map((each) => [each.server, `${each.state} ${each.weight}`]));
};

describe("pool.show and pool.list", () => {
  test("show servers with state, weight, share and counts, and a pool that cannot be read", async () => {
    await request(balancer.port);
    const settings = balancer.settings() as { pools: object };
    const both = testContext({
      pools: { ...settings.pools, gone: { socket: "/nonexistent", backend: "web" } },
    });

    const { output } = await perform(show, both, { pool: "web" });
    const all = await perform(list, both, {});

    expect(output).toMatchObject({
      strategy: "round-robin",
      usable: 3,
      servers: [
        { server: "a", state: "ready", health: "up", weight: 100, check: expect.stringMatching(/^L7OK/) },
        {},
        {},
      ],
    });
    expect(show.render?.(output)).toMatch(/3 of 3 servers usable.*\nserver .*\na +up +100 +33.33% /);
    expect(all.output).toMatchObject({
      pools: [
        { pool: "web", servers: 3 },
        { pool: "gone", error: { code: "E_HAPROXY_SOCKET" } },
      ],
    });
    expect(list.failure?.(all.output)).toMatchObject({ code: "E_POOL_UNREADABLE" });
  });

  test("a route over HAProxy is a pool of its name, and is locked with it", async () => {
    const route = { socket: balancer.socket, backend: "web", versions: { blue: "a", green: "b" } };
    const routed = testContext({ routes: { shop: route } });

    const { output } = await perform(show, routed, { pool: "shop" });

    expect(output).toMatchObject({ pool: "shop", usable: 3 });
    const input = weight.input.parse({ server: "a", weight: 1 });
    expect(weight.targets?.(input, routed.environment)).toEqual(["pool:shop", "route:shop"]);
  });

  test("the weight of a route's server goes into the route's state file", async () => {
    const file = join(balancer.directory, "route-state");
    const route = {
      socket: balancer.socket,
      backend: "web",
      versions: { blue: "a", green: "b" },
      "state-file": file,
    };

    const done = await perform(weight, testContext({ routes: { shop: route } }), { server: "a", weight: 7 });

    expect(await readFile(file, "utf8")).toMatch(/^\d+ web 1 a .* 7 100 /m);
    await done.undo();
    expect(await readFile(file, "utf8")).not.toMatch(/ web 1 a /);
  });
});

describe("wrong names", () => {
  test.each([
    ["a server", {}, { server: "bb" }, "E_SERVER", 'did you mean "b"?'],
    ["a pool", {}, { server: "a", pool: "webb" }, "E_TARGET", 'did you mean "web"?'],
    ["a backend", { backend: "webb" }, { server: "a" }, "E_HAPROXY_BACKEND", 'did you mean "web"?'],
    [
      "a backend that would be a command",
      { backend: "web; disable" },
      { server: "a" },
      "E_POOL_NAME",
      "names",
    ],
  ])("of %s exit with 2 and what was meant", async (_, extra, input, code, hint) => {
    await expect(perform(drain, context(extra), input)).rejects.toMatchObject({
      code,
      exitCode: 2,
      hint: expect.stringContaining(hint),
    });
    expect(await states()).toEqual({ a: "ready 100", b: "ready 100", c: "ready 100" });
  });
});

describe("pool.drain", () => {
  test("waits for a request that hangs, and no new one reaches the server meanwhile", async () => {
    balancer.servers.a.mode = "silent";
    const before = balancer.servers.a.received;
    const hanging = Promise.all(Array.from({ length: 3 }, () => request(balancer.port)));
    await expect.poll(() => balancer.servers.a.received - before, patient).toBe(1);
    const report = new RecordingReport();
    const input = drain.input.parse({ server: "a", timeout: "20s" });
    const seen = await drain.observe(context(), input);
    let isDone = false;

    const drained = Promise.resolve(drain.apply(context(), input, seen, report)).then((output) => {
      isDone = true;
      return output;
    });
    await expect.poll(() => report.messages.length, patient).toBeGreaterThan(2);
    const answers = await Promise.all(Array.from({ length: 20 }, () => request(balancer.port)));

    expect(isDone).toBe(false);
    expect(report.messages.at(-1)).toBe("a takes no new requests; 1 being served, 0 waiting");
    expect(answers.filter(({ body }) => body === "a")).toEqual([]);
    balancer.servers.a.release();
    expect(await drained).toMatchObject({ state: "drain", sessions: 0 });
    expect((await hanging).every(({ status }) => status === 200)).toBe(true);
  });

  test("tells what is left when the time is over, and leaves the server drained", async () => {
    balancer.servers.a.mode = "silent";
    const before = balancer.servers.a.received;
    const hanging = Promise.all(Array.from({ length: 3 }, () => request(balancer.port)));
    await expect.poll(() => balancer.servers.a.received - before, patient).toBe(1);

    await expect(perform(drain, context(), { server: "a", timeout: "300ms" })).rejects.toMatchObject({
      code: "E_DRAIN_TIMEOUT",
      message: "a still has requests after 300ms: 1 being served, 0 waiting",
    });

    expect(await states()).toMatchObject({ a: "drain 100" });
    balancer.servers.a.release();
    await hanging;
  });

  test("is finished by the next call after a crash between its set and its end", async () => {
    const input = drain.input.parse({ server: "b" });
    const seen = await drain.observe(context(), input);
    await balancer.command("set server web/b state drain");

    const output = await drain.apply(context(), input, seen, new RecordingReport());
    const again = await perform(drain, context(), { server: "b" });

    expect(output).toMatchObject({ state: "drain" });
    expect(again.changes).toEqual([]);
  });

  test("stops where somebody else takes the server back meanwhile", async () => {
    balancer.servers.a.mode = "silent";
    const before = balancer.servers.a.received;
    const hanging = Promise.all(Array.from({ length: 3 }, () => request(balancer.port)));
    await expect.poll(() => balancer.servers.a.received - before, patient).toBe(1);
    const report = new RecordingReport();
    const drained = perform(drain, context(), { server: "a" }, report);
    // It has set the state and read it back; now it waits.
    await expect.poll(() => report.messages.length, patient).toBeGreaterThan(0);
    await balancer.command("set server web/a state ready");

    await expect(drained).rejects.toMatchObject({ code: "E_POOL_DRIFT" });
    balancer.servers.a.release();
    await hanging;
  });
});

describe("pool.disable and pool.enable", () => {
  test("take a server out and let it back in, without one failed request", async () => {
    const load = new Load(balancer.port);
    const done = await perform(disable, context(), { server: "c" });
    expect(done.output).toMatchObject({ state: "maint", share: 0 });
    const back = await perform(enable, context(), { server: "c" });
    expect(back.output).toMatchObject({ state: "ready", health: "up" });
    await done.undo();
    const { failed, requests } = await load.stop();

    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(5);
    expect(await back.undo()).toMatchObject({
      undone: true,
      note: "c is in maintenance again, with weight 100",
    });
  });

  test("the last server that can take requests stays, unless it is asked for", async () => {
    await perform(disable, context(), { server: "a" });
    await perform(drain, context(), { server: "b" });

    for (const [operation, input] of [
      [disable, { server: "c" }],
      [drain, { server: "c" }],
      [weight, { server: "c", weight: 0 }],
    ] as const) {
      await expect(perform(operation, context(), input)).rejects.toMatchObject({
        code: "E_LAST_SERVER",
        exitCode: 2,
        message:
          "c is the last server of pool web that can take requests: a is in maintenance, b is draining",
      });
    }
    const { output } = await perform(disable, context(), { server: "c", last: true });

    expect(output).toMatchObject({ state: "maint" });
  });

  test("a server that stays down is told", async () => {
    await balancer.servers.b.kill();
    try {
      await perform(disable, context(), { server: "b" });

      await expect(perform(enable, context(), { server: "b", wait: "500ms" })).rejects.toMatchObject({
        code: "E_SERVER_DOWN",
        message: expect.stringContaining("L4CON"),
      });
    } finally {
      await balancer.servers.b.start();
    }
  });
});

describe("pool.weight", () => {
  test("sets an absolute weight, refuses one that somebody else changed, and goes back", async () => {
    const done = await perform(weight, context(), { server: "a", weight: 50 });

    expect(done.changes).toMatchObject([{ from: 100, to: 50, target: "pool:web" }]);
    expect(done.output).toMatchObject({ weight: 50, share: 20 });
    expect(await done.undo()).toMatchObject({ undone: true });
    const input = weight.input.parse({ server: "a", weight: 7 });
    const seen = await weight.observe(context(), input);
    await balancer.command("set weight web/a 42");
    await expect(weight.apply(context(), input, seen, new RecordingReport())).rejects.toMatchObject({
      code: "E_POOL_DRIFT",
    });
    expect(await states()).toMatchObject({ a: "ready 42" });
    expect(weight.input.safeParse({ server: "a", weight: 257 }).success).toBe(false);
  });
});
