import { afterEach, describe, expect, test } from "vitest";
import { mirror } from "../../../src/traffic/mirror.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, testContext } from "../../support/context.ts";
import { request, startBalancer } from "../../support/haproxy.ts";
import { type Nginx, startNginx } from "../../support/nginx.ts";

let nginx: Nginx | undefined;
afterEach(async () => {
  await nginx?.[Symbol.asyncDispose]();
  nginx = undefined;
});

describe.each(["upstream", "clients"] as const)("copies of requests by nginx, split by %s", (split) => {
  test("go to the version in their share and to nobody else, until it serves", async () => {
    const opened = await startNginx(split, true);
    nginx = opened;
    const context = testContext(opened.settings());
    const copied = async (requests: number, method = "GET") => {
      const before = opened.green.received;
      for (let each = 0; each < requests; each += 1) {
        const url = `http://127.0.0.1:${opened.port}/?user=${each}`;
        expect(await (await fetch(url, { method })).text()).toBe("blue");
      }
      // A copy is sent after the answer.
      await new Promise((resolve) => setTimeout(resolve, 100));
      return opened.green.received - before;
    };
    expect(await copied(10)).toBe(0);

    const done = await perform(mirror, context, { to: "green", share: "50%" });
    expect(done.changes).toMatchObject([{ target: "route:web", to: { version: "green", share: 50 } }]);
    expect(done.output).toMatchObject({ mirror: { version: "green", share: 50 } });
    const some = await copied(100);
    expect(some).toBeGreaterThan(25);
    expect(some).toBeLessThan(75);
    expect(await copied(20, "POST")).toBe(0);
    const shown = await perform(status, context, {});
    expect(status.render?.(shown.output)).toContain("green gets copies of 50% of the requests (GET, HEAD)");

    // Copies of a version that is slow or fails are nobody's trouble.
    opened.green.failEvery = 1;
    await perform(mirror, context, { to: "green" });
    expect(await copied(20)).toBe(20);
    expect(await done.undo()).toMatchObject({ undone: true, note: "nobody gets copies" });
    expect(await copied(10)).toBe(0);

    await perform(mirror, context, { to: "green", methods: ["GET", "POST"] });
    expect(await copied(10, "POST")).toBe(10);
    const { driver } = openRoute(context.environment, "web");
    const whole = driver.scale.total ?? 100;
    await driver.setWeights({ blue: whole, green: 0 });
    expect(await driver.mirror?.read()).toMatchObject({ version: "green" });
    await driver.setWeights({ blue: whole / 2, green: whole / 2 });
    expect(await driver.mirror?.read()).toBeUndefined();
    await expect(perform(mirror, context, { to: "green" })).rejects.toMatchObject({
      code: "E_MIRROR",
      exitCode: 2,
    });
  });
});

test("a balancer without a mirror says how one would have it", async () => {
  await using balancer = await startBalancer();

  await expect(perform(mirror, testContext(balancer.settings()), { to: "green" })).rejects.toMatchObject({
    code: "E_MIRROR",
    exitCode: 2,
    hint: expect.stringContaining("SPOE"),
  });
  expect((await request(balancer.port)).status).toBe(200);
});
