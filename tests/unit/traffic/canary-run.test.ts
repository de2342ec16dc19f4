import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Comparison, unlearned } from "../../../src/rollout/comparison.ts";
import type { Progress } from "../../../src/run/operation.ts";
import { guardCanary } from "../../../src/traffic/canary-guard.ts";
import { canaryInput } from "../../../src/traffic/canary-input.ts";
import { CanaryRun } from "../../../src/traffic/canary-run.ts";
import { canarySteps } from "../../../src/traffic/canary-steps.ts";
import { RecordingReport, testContext } from "../../support/context.ts";
import { FakeTraffic, virtualClock } from "../../support/fake-traffic.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-canary-run-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

class Watched extends RecordingReport {
  readonly left: (number | undefined)[] = [];

  override progress(progress: Progress): void {
    super.progress(progress);
    this.left.push(progress.leftMs);
  }
}

/** A canary of two bakes of 10 s, at 10% and at 50%; a look each second. */
async function canary(happens: (traffic: FakeTraffic) => void = () => undefined, atStep = 0) {
  const clock = virtualClock();
  const context = { ...testContext({}, { directory }), clock };
  const input = canaryInput.parse({ to: "green", steps: ["10%", "50%"], bake: "10s", "on-crash": "hold" });
  const weights = { blue: 100, green: 0 };
  const before = { route: "web", weights, scale: { maximum: 256 } };
  const traffic = new FakeTraffic(clock);
  traffic.weights = weights;
  const steps = canarySteps(before, "green", input.steps);
  const report = new Watched();
  const run = new CanaryRun(
    {
      context,
      input,
      before,
      route: traffic.route,
      report,
      times: undefined,
      comparison: new Comparison("green", { alpha: 0.01, tolerate: 1 }, unlearned),
      guard: await guardCanary(context, before, "green", "hold"),
      steps,
    },
    { step: atStep, phase: "baking", passed: [], promotions: [], comparison: undefined },
  );
  happens(traffic);
  return { traffic, report, ended: run.toTheEnd() };
}

test("the time left is that of all bakes to come, and of a resumed canary that of the rest", async () => {
  const whole = await canary();
  await whole.ended;
  const resumed = await canary(undefined, 1);
  await resumed.ended;

  // Before each bake one look for the share.
  const bakes = Array.from({ length: 11 }, (_, second) => 1000 * (10 - second));
  expect(whole.report.left).toEqual([...bakes.map((each) => each + 10_000), ...bakes]);
  expect(resumed.report.left).toEqual(bakes);
});

test("a pass names its comparison, and so does what ends the canary", async () => {
  const passing = await canary();
  await passing.ended;
  const failing = await canary((traffic) => {
    const { read } = traffic.route;
    let looks = 0;
    Object.assign(traffic.route, {
      read: (signal?: AbortSignal) => {
        looks += 1;
        if (looks > 2) traffic.fail("green", 4);
        return read(signal);
      },
    });
  });

  await expect(failing.ended).rejects.toMatchObject({ code: "E_CANARY_ABORTED" });

  expect(passing.report.lines[0]).toMatch(
    /^green passed 10%: 1\d0 requests, 0 bad \(0\.0%\), errors none at the others \(e-value 1, limit 100\), 10s$/,
  );
  expect(failing.report.lines[0]).toMatch(
    /^green was aborted at 10%: \d+ requests, 4 bad \(\d+\.\d%\), errors none at the others \(e-value \d+, limit 100\), \d/,
  );
  expect(failing.report.lines[1]).toMatch(/^gave the traffic of route web back/);
  expect(failing.traffic.weights).toEqual({ blue: 100, green: 0 });
});
