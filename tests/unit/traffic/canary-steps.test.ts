import { describe, expect, test } from "vitest";
import { parsePercent } from "../../../src/core/percent.ts";
import type { Weights } from "../../../src/rollout/shares.ts";
import type { StepResult } from "../../../src/rollout/step-result.ts";
import { placeToResume } from "../../../src/traffic/canary-checkpoint.ts";
import { canaryInput } from "../../../src/traffic/canary-input.ts";
import { canarySteps } from "../../../src/traffic/canary-steps.ts";
import { refuseDrift } from "../../../src/traffic/drift.ts";

const shares = ["10%", "50%", "100%"].map(parsePercent);
const before = { blue: 100, green: 0 };
const scale = { maximum: 256 };
const steps = canarySteps({ weights: before, scale }, "green", shares);

describe("the steps of a canary", () => {
  test("lead from nothing to everything", () => {
    expect(steps.map((step) => step.weights)).toEqual([
      { blue: 90, green: 10 },
      { blue: 50, green: 50 },
      { blue: 0, green: 100 },
    ]);
  });

  test("never take traffic away from the new version", () => {
    expect(
      canarySteps({ weights: { blue: 70, green: 30 }, scale }, "green", shares).map((step) => step.share),
    ).toEqual([50, 100]);
  });

  test("are refused where the version has more than all of them", () => {
    expect(() =>
      canarySteps({ weights: { blue: 0, green: 100 }, scale }, "green", [parsePercent("10%")]),
    ).toThrow(expect.objectContaining({ code: "E_CANARY_STEPS" }));
  });

  test.each([
    [["50%", "10%"]],
    [["0%", "10%"]],
    [[]],
    [["pause"]],
    [["10%", "pause", "pause:1m"]],
    [["10%", "pauze"]],
    [["10%", { pause: 30 }]],
    [["10%", { wait: "30m" }]],
  ])("cannot be %j", (written) => {
    expect(canaryInput.safeParse({ to: "green", steps: written }).success).toBe(false);
  });

  test("have pauses, at the share before them or before all", () => {
    const { steps: entries } = canaryInput.parse({
      to: "green",
      steps: ["pause", "10%", { pause: "30m" }, "50%", "pause:5s", "100%"],
    });
    const pauses = (weights: Weights) =>
      canarySteps({ weights, scale }, "green", entries).map(({ stage, share, pause }) => [
        stage,
        share,
        pause?.pause,
      ]);

    expect(pauses(before)).toEqual([
      ["before", 0, null],
      ["share", 10, 1_800_000],
      ["share", 50, 5000],
      ["share", 100, undefined],
    ]);
    expect(pauses({ blue: 70, green: 30 })).toEqual([
      ["before", 30, null],
      ["share", 50, 5000],
      ["share", 100, undefined],
    ]);
  });

  test("have sensible defaults", () => {
    expect(canaryInput.parse({ to: "green" })).toMatchObject({
      steps: [10, 50, 100],
      bake: 600_000,
      interval: 1000,
      "min-requests": 20,
      inconclusive: "fail",
      "abort-when": { "error-rate": { text: "> 5%" }, "health-failures": { text: "> 3" } },
    });
  });
});

describe("an unfinished canary", () => {
  const result: StepResult = {
    share: 10,
    observedShare: 10,
    requests: 40,
    errors: 0,
    errorRate: 0,
    serverErrors: 0,
    connectionErrors: 0,
    responseErrors: 0,
    retries: 0,
    redispatches: 0,
    p95: null,
    meanResponse: 2,
    healthFailures: 0,
    bakedMs: 700,
    restarts: 0,
    comparison: [],
  };
  const last = { phase: "baking", step: 1, passed: [result], weights: { blue: 50, green: 50 }, now: null };

  const place = { step: 1, phase: "baking", passed: [result], promotions: [] };

  test("goes on at the step it was at", () => {
    expect(placeToResume(last, before, steps, { blue: 50, green: 50 })).toEqual({
      ...place,
    });
  });

  test("goes on there too when the crash came before the weights were set", () => {
    expect(placeToResume(last, before, steps, { blue: 90, green: 10 })).toEqual({
      ...place,
    });
  });

  test("goes on in the pause it was in, with the promotions before it", () => {
    const promotions = [
      { share: 10, by: "ada@host", reason: null, at: "2026-01-01T00:00:00.000Z", waitedMs: 5 },
    ];
    const paused = { ...last, phase: "paused", promotions };

    expect(placeToResume(paused, before, steps, { blue: 50, green: 50 })).toEqual({
      ...place,
      phase: "paused",
      promotions,
    });
  });

  test.each([
    ["where there is no checkpoint", undefined, { blue: 50, green: 50 }],
    ["after an abort", { ...last, phase: "aborted" }, before],
    ["where the traffic was given back before the abort was journaled", last, before],
  ])("begins anew %s", (_, checkpoint, present) => {
    expect(placeToResume(checkpoint, before, steps, present)).toEqual({
      step: 0,
      phase: "baking",
      passed: [],
      promotions: [],
    });
  });
});

describe("drift", () => {
  const own = [before, ...steps.map((step) => step.weights)];

  test.each([[{ blue: 100, green: 0 }], [{ blue: 50, green: 50 }], [{ blue: 90, green: 50 }]])(
    "is not %j, which this canary can have left",
    (present) => {
      expect(() => refuseDrift("web", present, own)).not.toThrow();
    },
  );

  test("is a weight that nobody here sets", () => {
    expect(() => refuseDrift("web", { blue: 90, green: 33 }, own)).toThrow(
      expect.objectContaining({ code: "E_TRAFFIC_DRIFT" }),
    );
  });
});
