import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { canary } from "../../../src/traffic/canary.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { perform, testContext } from "../../support/context.ts";
import { startBalancer } from "../../support/haproxy.ts";
import { startNginx } from "../../support/nginx.ts";
import { startWrk } from "../../support/wrk.ts";

const changes = 100;
/** HAProxy answers for both versions itself: what is measured is the shift, not a small server of the test. */
const served = { answeredBy: "haproxy" } as const;
const input = { to: "green", bake: "1s", interval: "100ms", compare: { learn: "500ms" } };

describe("HAProxy under wrk at full load", () => {
  test(`loses no request in ${changes} changes of weights`, async () => {
    await using balancer = await startBalancer(served);
    const { driver } = openRoute(testContext(balancer.settings()).environment, "web");
    const load = startWrk(`http://127.0.0.1:${balancer.port}/`, 60);
    for (let change = 1; change <= changes; change += 1) {
      await driver.setWeights({ blue: 100 - (change % 101), green: change % 101 });
      await delay(20);
    }
    const { requests, failed } = await load.stop();

    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(changes * 10);
  });

  test("loses no request in a whole canary, nor in one over buckets", async () => {
    for (const people of [undefined, "buckets and testers"] as const) {
      await using balancer = await startBalancer({ ...served, ...(people && { people }) });
      // All of wrk's requests come from one address: one user, who has the new version only at the end.
      const steps = people === undefined ? ["10%", "50%", "100%"] : ["100%"];
      const load = startWrk(`http://127.0.0.1:${balancer.port}/`, 60);
      const { output } = await perform(canary, testContext(balancer.settings()), { ...input, steps });
      const { requests, failed } = await load.stop();

      expect(output).toMatchObject({ verdict: "pass", inFlight: { blue: 0 } });
      expect(failed).toBe(0);
      expect(requests).toBeGreaterThan(1000);
    }
  });
});

/** Each reload ends the kept connections of old workers; a client that sends at that very moment sees it. */
describe("nginx under wrk at full load", () => {
  test("loses no more requests by changes of weights than by as many bare reloads", async () => {
    await using nginx = await startNginx("upstream");
    const { driver } = openRoute(testContext(nginx.settings()).environment, "web");
    const lost = { reloads: [] as number[], sets: [] as number[] };
    const underLoad = async (change: () => Promise<void>): Promise<number> => {
      const load = startWrk(`http://127.0.0.1:${nginx.port}/`, 60, 20);
      await delay(200);
      await change();
      // Until the old workers have ended.
      await delay(600);
      const { answers, failed, requests } = await load.stop();
      expect(answers).toBe(0);
      expect(requests).toBeGreaterThan(100);
      return failed;
    };

    for (let turn = 1; turn <= 8; turn += 1) {
      lost.reloads.push(await underLoad(() => nginx.reload()));
      lost.sets.push(await underLoad(() => driver.setWeights({ blue: 100 - turn, green: turn })));
    }

    // Nothing but what a reload does to kept connections. How many of them one hits is chance, and it hits many at once:
    // the spread is that of the reloads themselves (four standard errors).
    const error = Math.sqrt((variance(lost.reloads) + variance(lost.sets)) / lost.reloads.length);
    expect(mean(lost.sets), JSON.stringify(lost)).toBeLessThanOrEqual(mean(lost.reloads) + 4 * error + 1);
  });
});

const mean = (all: readonly number[]) => all.reduce((sum, each) => sum + each, 0) / all.length;

function variance(all: readonly number[]): number {
  const middle = mean(all);
  return all.reduce((sum, each) => sum + (each - middle) ** 2, 0) / (all.length - 1);
}
