import { describe, expect, test } from "vitest";
import { percent } from "../../../src/core/percent.ts";
import { bake } from "../../../src/rollout/bake.ts";
import { Comparison, unlearned } from "../../../src/rollout/comparison.ts";
import { canaryInput } from "../../../src/traffic/canary-input.ts";
import { testContext } from "../../support/context.ts";
import { FakeTraffic, virtualClock } from "../../support/fake-traffic.ts";

/** A bake of 20 s at 10%, with 10 requests of green each second; `happens` is told each second that was baked. */
async function baked(
  input: object,
  happens: (traffic: FakeTraffic, second: number) => void = () => undefined,
) {
  const clock = virtualClock();
  const traffic = new FakeTraffic(clock);
  const messages: string[] = [];
  const verdict = await bake({
    context: { ...testContext({}), clock },
    route: traffic.route,
    input: canaryInput.parse({ to: "green", bake: "20s", ...input }),
    step: { share: percent(10), weights: { blue: 90, green: 10 } },
    times: undefined,
    comparison: new Comparison("green", { alpha: 0.01, tolerate: 1 }, unlearned),
    learned: unlearned,
    refuseAborted: async () => undefined,
    sampleEvery: 1000,
    onSample: () => undefined,
    onLook: async ({ bakedMs }, message) => {
      messages.push(message);
      happens(traffic, Math.round(bakedMs / 1000));
    },
  });
  return { ...verdict, messages };
}

describe("a bake", () => {
  test("passes after its time, not before", async () => {
    expect(await baked({})).toMatchObject({ verdict: "pass", result: { bakedMs: 20_000, errors: 0 } });
  });

  test.each([0, 2])("without enough requests is extended %i times, then inconclusive", async (extensions) => {
    expect(await baked({ extensions, "min-requests": 1000 })).toMatchObject({
      verdict: "inconclusive",
      reasons: [expect.stringMatching(/^only \d+ requests of green came to an end \(needs 1000\)$/)],
      result: { bakedMs: 20_000 * (1 + extensions) },
      // One for the share, and then one each second, also when it is extended.
      messages: { length: 1 + 20 * (1 + extensions) },
    });
  });

  test("passes within an extension as soon as there is enough", async () => {
    expect(await baked({ "min-requests": 250 })).toMatchObject({
      verdict: "pass",
      result: { bakedMs: 24_000 },
    });
  });

  test("is extended by evidence that is too little to abort, then inconclusive", async () => {
    const ended = await baked({}, (traffic, second) => second === 5 && traffic.fail("green", 2));

    expect(ended).toMatchObject({
      verdict: "inconclusive",
      reasons: [
        expect.stringMatching(/^perhaps green fails, and the others do not: 2 of \d+ .*limit 100\)$/),
      ],
      result: { bakedMs: 40_000 },
    });
  });

  test("passes where an extension takes the evidence away", async () => {
    const ended = await baked({}, (traffic, second) => {
      if (second === 5) traffic.fail("green", 2);
      if (second === 30) traffic.fail("blue", 40);
    });

    expect(ended).toMatchObject({ verdict: "pass", result: { bakedMs: 31_000 } });
  });

  test("is extended by a rate over its limit that may be chance, then inconclusive", async () => {
    const bad: Record<number, number> = { 19: 13, 23: 5, 31: 4, 36: 3 };
    const ended = await baked({}, (traffic, second) => {
      if (second === 10) traffic.fail("blue", 200);
      traffic.fail("green", bad[second] ?? 0);
    });

    expect(ended).toMatchObject({
      verdict: "inconclusive",
      reasons: [
        expect.stringMatching(
          /^green answered 25 of 4\d\d requests badly \(\d\.\d%, limit > 5%\), which may be chance$/,
        ),
      ],
      result: { bakedMs: 40_000 },
    });
  });

  test("aborts at the first look with enough requests where a third of them is bad", async () => {
    const ended = await baked({}, (traffic) => {
      traffic.fail("green", 3);
      traffic.fail("blue", 30);
    });

    expect(ended).toMatchObject({
      verdict: "abort",
      reasons: [
        expect.stringMatching(
          /^green answered [4-9] of [23]0 requests badly \(\d+\.\d%, limit > 5%\) at 10%$/,
        ),
      ],
    });
  });
});
