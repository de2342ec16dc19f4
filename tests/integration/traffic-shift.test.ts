import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { shift } from "../../src/traffic/shift.ts";
import { status } from "../../src/traffic/status.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { type Balancer, Load, request, startBalancer } from "../support/haproxy.ts";

let balancer: Balancer;
beforeAll(async () => {
  balancer = await startBalancer();
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await balancer.setWeight("blue", 100);
  await balancer.setWeight("green", 0);
});

describe("traffic.status", () => {
  test("shows weights, shares, health and counts of each version", async () => {
    await request(balancer.port);

    const { output } = await perform(status, testContext(balancer.settings()), {});

    expect(output).toMatchObject({
      route: "web",
      versions: [
        { version: "blue", server: "blue", weight: 100, share: 100, health: "up", status: "UP" },
        { version: "green", server: "green", weight: 0, share: 0, health: "up" },
      ],
    });
    expect(status.render?.(status.output.parse(output))).toMatch(
      /^route web\nversion .*\nblue +100% +100 +UP/,
    );
  });

  test.each([
    [
      "a version whose server does not exist",
      { versions: { blue: "blue", green: "gren" } },
      "E_ROUTE_SERVER",
    ],
    ["a server that belongs to no version", { versions: { a: "green", b: "green" } }, "E_ROUTE_SERVER"],
    ["a backend that does not exist", { backend: "wbe" }, "E_HAPROXY_BACKEND"],
    [
      "a backend's name that would be a second command",
      { backend: "web; disable server web" },
      "E_ROUTE_NAME",
    ],
    ["a socket that does not exist", { socket: "/nonexistent/haproxy.sock" }, "E_HAPROXY_SOCKET"],
  ])("refuses %s", async (_, extra, code) => {
    const context = testContext(balancer.settings(extra));

    await expect(perform(status, context, {})).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  test("says so when something else than HAProxy answers", async () => {
    const context = testContext(balancer.settings({ socket: `127.0.0.1:${balancer.blue.port}` }));

    await expect(perform(status, context, {})).rejects.toMatchObject({ code: "E_NOT_HAPROXY" });
  });
});

describe("traffic.shift", () => {
  test("gives the new version exactly its share of the requests", async () => {
    const { output, changes } = await perform(shift, testContext(balancer.settings()), {
      to: "green",
      share: "10%",
      confirm: "0s",
    });
    const answers = await Promise.all(Array.from({ length: 500 }, () => request(balancer.port)));

    expect(changes).toMatchObject([{ target: "route:web", from: { green: 0 }, to: { blue: 90, green: 10 } }]);
    expect(output).toMatchObject({ weights: { blue: 90, green: 10 }, confirmed: false });
    expect(answers.filter((answer) => answer.body === "green")).toHaveLength(50);
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
  });

  test("confirms the share by the requests that it sees", async () => {
    await using _load = new Load(balancer.port);

    const { output } = await perform(shift, testContext(balancer.settings()), { to: "green", share: "25%" });

    expect(output).toMatchObject({ confirmed: true, share: 25 });
  });

  test("does not claim it for a small share of which nobody got anything", async () => {
    // All users are sticky on blue, whatever the weights are.
    await using sticky = await startBalancer({ backendLines: ["use-server blue if { always_true }"] });
    await using _load = new Load(sticky.port);

    const { output, report } = await perform(shift, testContext(sticky.settings()), {
      to: "green",
      share: "1%",
      confirm: "400ms",
    });

    expect(output).toMatchObject({ confirmed: false, observed: { share: 0 } });
    expect(report.lines[0]).toMatch(/^could not confirm the share .*: green got 0 of \d+ requests/);
    expect(shift.render?.(shift.output.parse(output))).toContain("not confirmed: green got 0 of");
  });

  test("does not claim to have confirmed anything without traffic", async () => {
    const { output } = await perform(shift, testContext(balancer.settings()), {
      to: "green",
      share: "50%",
      confirm: "300ms",
    });

    expect(output).toMatchObject({ confirmed: false, observed: { requests: 0, share: null } });
  });

  test("goes back to what it found, also twice and after somebody else's change", async () => {
    const done = await perform(shift, testContext(balancer.settings()), { to: "green", confirm: "0s" });
    expect(await balancer.weights()).toEqual({ blue: 0, green: 100 });

    await done.undo();
    await balancer.setWeight("green", 7);
    const again = await done.undo();

    expect(again).toMatchObject({ undone: true });
    expect(await balancer.weights()).toEqual({ blue: 100, green: 0 });
  });

  test("finishes what a crash between two weights left", async () => {
    const context = testContext(balancer.settings());
    const input = shift.input.parse({ to: "green", share: "10%", confirm: "0s" });
    const before = await shift.observe(context, input);
    await balancer.setWeight("green", 10);

    await shift.apply(context, input, before, new RecordingReport());

    expect(await balancer.weights()).toEqual({ blue: 90, green: 10 });
  });

  test("stops where somebody else changed the weights meanwhile", async () => {
    const context = testContext(balancer.settings());
    const input = shift.input.parse({ to: "green", share: "10%" });
    const before = await shift.observe(context, input);
    await balancer.setWeight("blue", 42);

    await expect(shift.apply(context, input, before, new RecordingReport())).rejects.toMatchObject({
      code: "E_TRAFFIC_DRIFT",
    });
    expect(await balancer.weights()).toEqual({ blue: 42, green: 0 });
  });

  test("plans nothing where the share is as it should be", async () => {
    const { changes } = await perform(shift, testContext(balancer.settings()), { to: "blue", confirm: "0s" });

    expect(changes).toEqual([]);
  });

  test("gives no traffic to a version that is down", async () => {
    await balancer.green.kill();
    await expect
      .poll(async () => (await perform(status, testContext(balancer.settings()), {})).output)
      .toMatchObject({ versions: [{}, { health: "down" }] });

    try {
      await expect(
        perform(shift, testContext(balancer.settings()), { to: "green", share: "10%" }),
      ).rejects.toMatchObject({ code: "E_VERSION_DOWN" });
      expect(await balancer.weights()).toEqual({ blue: 100, green: 0 });
    } finally {
      await balancer.green.start();
      await expect
        .poll(async () => (await perform(status, testContext(balancer.settings()), {})).output)
        .toMatchObject({ versions: [{}, { health: "up" }] });
    }
  });

  test("names the version that was probably meant", async () => {
    await expect(perform(shift, testContext(balancer.settings()), { to: "gren" })).rejects.toMatchObject({
      code: "E_VERSION",
      hint: 'did you mean "green"?',
    });
  });

  test("says that a socket without admin rights is the trouble", async () => {
    const context = testContext(balancer.settings({ socket: `${balancer.socket}-user` }));

    await expect(perform(shift, context, { to: "green" })).rejects.toMatchObject({
      code: "E_HAPROXY_PERMISSION",
      hint: expect.stringContaining("level admin"),
    });
  });
});
