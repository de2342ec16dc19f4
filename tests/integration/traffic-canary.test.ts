import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Json, OpsError } from "../../src/core/errors.ts";
import type { StepResult } from "../../src/rollout/step-result.ts";
import { canary } from "../../src/traffic/canary.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { type Balancer, Load, startBalancer } from "../support/haproxy.ts";

const hidingErrors = ["option redispatch 1", "retries 3", "retry-on conn-failure empty-response"];
const quick = {
  to: "green",
  bake: "700ms",
  extend: "700ms",
  deadline: "700ms",
  interval: "50ms",
  "min-requests": 10,
  compare: { learn: "0s" },
};
const start = { blue: 100, green: 0 };

let balancer: Balancer;
const begin = async (options: Parameters<typeof startBalancer>[0] = {}) => {
  balancer = await startBalancer(options);
};
afterEach(async () => {
  await balancer?.[Symbol.asyncDispose]();
});

/** Runs a canary whose `before` is what the balancer says now. */
async function prepare(input: object, options: Parameters<typeof testContext>[1] = {}, last?: Json) {
  const context = testContext(balancer.settings(), options);
  const parsed = canary.input.parse({ ...quick, ...input });
  const before = await canary.observe(context, parsed);
  const report = new RecordingReport(last);
  return { context, parsed, before, report, run: () => canary.apply(context, parsed, before, report) };
}

async function failureOf(work: Promise<unknown>): Promise<OpsError> {
  return work.then(
    () => {
      throw new Error("the canary passed");
    },
    (error) => error as OpsError,
  );
}

describe("a healthy version", () => {
  beforeEach(() => begin());

  test("gets all traffic, step by step, without one failed request", async () => {
    const load = new Load(balancer.port);
    const { output, changes, report } = await perform(canary, testContext(balancer.settings()), {
      ...quick,
      "abort-when": { p95: "> 200ms" },
    });
    const { failed, requests } = await load.stop();

    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(300);
    expect(output).toMatchObject({
      verdict: "pass",
      weights: { blue: 0, green: 100 },
      steps: [
        { share: 10, errors: 0 },
        { share: 50, errors: 0 },
        { share: 100, errors: 0 },
      ],
    });
    expect(await balancer.weights()).toEqual({ blue: 0, green: 100 });
    expect(changes.map((change) => change.to)).toEqual([
      { blue: 90, green: 10 },
      { blue: 50, green: 50 },
      { blue: 0, green: 100 },
    ]);
    expect(report.messages.at(-1)).toMatch(/^100% · \d+ requests · 0\.0% bad · p95 \d+ ms · .+ of 700ms$/);
  });

  test("is taken back by undo", async () => {
    await using _load = new Load(balancer.port);
    const done = await perform(canary, testContext(balancer.settings()), { ...quick, steps: ["50%"] });

    const result = await done.undo();

    expect(result).toMatchObject({ undone: true, note: "route web: blue 100%, green 0%" });
    expect(await balancer.weights()).toEqual(start);
  });

  test("is not judged without traffic: the canary is inconclusive and gives the traffic back", async () => {
    const { run, report } = await prepare({});

    const error = await failureOf(run());

    expect(error).toMatchObject({
      code: "E_CANARY_INCONCLUSIVE",
      message: "The canary has no verdict at 10%: only 0 requests of green came to an end (needs 10)",
    });
    expect(await balancer.weights()).toEqual(start);
    expect(report.last).toMatchObject({ phase: "aborted" });
  });

  test("stays at its step without traffic where a hold is asked for", async () => {
    const { run } = await prepare({ inconclusive: "hold" });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_INCONCLUSIVE");
    expect(await balancer.weights()).toEqual({ blue: 90, green: 10 });
  });

  test("goes on at the step at which the run was interrupted", async () => {
    await using _load = new Load(balancer.port);
    const { context, parsed, before, report, run } = await prepare({ steps: ["10%", "50%"] });
    const stopAtSecondStep = (async () => {
      while ((report.last as { step?: number } | undefined)?.step !== 1) await delay(10);
      context.requestStop();
    })();

    const error = await failureOf(run());
    await stopAtSecondStep;
    const held = await balancer.weights();
    const resumed = new RecordingReport(report.last);
    const output = await canary.apply(testContext(balancer.settings()), parsed, before, resumed);

    expect(error.code).toBe("E_INTERRUPTED");
    expect(held).toEqual({ blue: 50, green: 50 });
    expect(resumed.checkpoints.map((each) => (each as { step: number }).step)).toEqual([1, 2]);
    expect(output).toMatchObject({ verdict: "pass", steps: [{ share: 10 }, { share: 50 }] });
  });

  test("begins anew where the balancer was restarted since the interruption", async () => {
    await using _load = new Load(balancer.port);
    const last = { phase: "baking", step: 1, passed: [], weights: { blue: 50, green: 50 }, now: null };
    const { run, report } = await prepare({ steps: ["10%", "50%"] }, {}, last);

    await run();

    expect(report.checkpoints[0]).toMatchObject({ step: 0, weights: { blue: 90, green: 10 } });
  });

  test("is left where somebody else put it: foreign weights stop the canary and stay", async () => {
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "5s" });
    const meddle = (async () => {
      while (report.messages.length < 3) await delay(10);
      await balancer.setWeight("green", 33);
    })();

    const error = await failureOf(run());
    await meddle;

    expect(error.code).toBe("E_TRAFFIC_DRIFT");
    expect(await balancer.weights()).toEqual({ blue: 90, green: 33 });
  });

  test("is stopped where the balancer was restarted and has the weights of its file again", async () => {
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "10s" });
    const restart = (async () => {
      while (report.messages.length < 3) await delay(10);
      await balancer.kill();
      await balancer.run();
    })();

    const error = await failureOf(run());
    await restart;

    expect(error).toMatchObject({
      code: "E_TRAFFIC_DRIFT",
      details: { present: start },
      hint: expect.stringContaining("reloaded"),
    });
  });

  test("is watched on over a restart of the balancer that keeps the weights", async () => {
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "2s", steps: ["10%"], "abort-when": { p95: "> 1s" } });
    const restart = (async () => {
      while (report.messages.length < 3) await delay(10);
      await balancer.kill();
      await balancer.run({ blue: 90, green: 10 });
    })();

    const output = await run();
    await restart;

    expect(output).toMatchObject({
      verdict: "pass",
      steps: [{ restarts: 1, errors: 0, p95: expect.any(Number) }],
    });
  });

  test("loses the traffic when the step's time is over", async () => {
    const { run } = await prepare({ bake: "10s" }, { signal: AbortSignal.timeout(400) });

    await failureOf(run());

    expect(await balancer.weights()).toEqual(start);
  });

  test("keeps the traffic when the run is ended at once by a second Ctrl-C", async () => {
    const abort = new AbortController();
    const { run } = await prepare({ bake: "10s" }, { signal: abort.signal });
    setTimeout(() => abort.abort(), 400);

    await failureOf(run());

    expect(await balancer.weights()).toEqual({ blue: 90, green: 10 });
  });

  test("is called lost, with the weights to set, when the balancer dies", async () => {
    const { run } = await prepare({ bake: "20s" });
    setTimeout(() => void balancer.kill(), 400);

    const error = await failureOf(run());

    expect(error).toMatchObject({
      code: "E_TRAFFIC_NOT_RESTORED",
      cause: { code: "E_HAPROXY_SOCKET" },
      hint: expect.stringContaining("blue 100%, green 0%"),
    });
  });

  test("cannot have a p95 limit without a ring, and the plan says so", async () => {
    const context = testContext(balancer.settings({}));
    const input = canary.input.parse({ ...quick, "abort-when": { p95: "> 1s" } });

    await expect(canary.observe(context, input)).rejects.toMatchObject({
      code: "E_REQUEST_RING",
      exitCode: 2,
    });
  });

  test("cannot have a p95 limit with a ring that HAProxy does not have", async () => {
    const context = testContext(balancer.settings({ "request-ring": "nothing" }));
    const input = canary.input.parse({ ...quick, "abort-when": { p95: "> 1s" } });

    await expect(canary.observe(context, input)).rejects.toMatchObject({ code: "E_REQUEST_RING" });
  });
});

describe("a broken version", () => {
  test("that answers with errors is aborted with the numbers", async () => {
    await begin();
    balancer.green.failEvery = 8;
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "30s", compare: { alpha: "0%" } });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(error.message).toMatch(
      /^green answered \d+ of \d+ requests badly \(\d+\.\d%, limit > 5%\) at 10%$/,
    );
    expect(error.details).toMatchObject({ verdict: "abort", figures: { share: 10 } });
    expect(await balancer.weights()).toEqual(start);
    expect(report.last).toMatchObject({ phase: "aborted" });
  });

  test("whose failures the balancer hides from the clients is aborted although no client saw one", async () => {
    await begin({ backendLines: hidingErrors });
    balancer.green.mode = "empty";
    const load = new Load(balancer.port);
    const { run } = await prepare({ bake: "5s" });

    const error = await failureOf(run());
    const { failed } = await load.stop();

    expect(error).toMatchObject({ code: "E_CANARY_ABORTED", details: { figures: { serverErrors: 0 } } });
    expect(failed).toBe(0);
    expect(await balancer.weights()).toEqual(start);
  });

  test("that is killed in the middle is aborted, hidden from the clients or not", async () => {
    await begin({ backendLines: hidingErrors, check: "check inter 2s fall 5" });
    const load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "10s", steps: ["50%"] });
    const killer = (async () => {
      while (report.messages.length < 5) await delay(10);
      await balancer.green.kill();
    })();

    const error = await failureOf(run());
    await killer;
    const { failed } = await load.stop();

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(failed).toBe(0);
    expect(await balancer.weights()).toEqual(start);
  });

  test("that is DOWN by its health checks is aborted without any traffic", async () => {
    await begin();
    const { run, report } = await prepare({ bake: "10s" });
    const sicken = (async () => {
      while (report.messages.length < 2) await delay(10);
      balancer.green.healthy = false;
    })();

    const error = await failureOf(run());
    await sicken;

    expect(error).toMatchObject({ code: "E_CANARY_ABORTED", message: "green is DOWN at 10%" });
    expect(await balancer.weights()).toEqual(start);
  });

  test("that is slow is aborted by its p95", async () => {
    await begin();
    balancer.green.latency = 120;
    await using _load = new Load(balancer.port);
    const { run } = await prepare({ bake: "5s", "abort-when": { p95: "> 100ms" } });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(error.message).toMatch(/^green has a p95 of 1\d\dms over \d+ requests \(limit > 100ms\) at 10%$/);
    expect(await balancer.weights()).toEqual(start);
  });

  test("that is slow is aborted by the balancer's own mean where there is no ring", async () => {
    await begin();
    balancer.green.latency = 120;
    await using _load = new Load(balancer.port);
    const { run } = await prepare({
      bake: "5s",
      steps: ["50%"],
      "abort-when": { "mean-response": "> 80ms" },
    });

    const error = await failureOf(run());

    expect(error.message).toMatch(/^green answers in 1\d\d ms on average \(limit > 80ms\) at 50%$/);
  });

  test("that takes requests and never answers is not a pass", async () => {
    await begin();
    balancer.green.mode = "silent";
    await using _load = new Load(balancer.port, 60);
    const { run } = await prepare({ bake: "1s", extend: "1s" });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_INCONCLUSIVE");
    expect(await balancer.weights()).toEqual(start);
  });

  test("that is down from the start gets no traffic at all", async () => {
    await begin();
    balancer.green.healthy = false;
    await delay(1000);
    const { run, report } = await prepare({});

    const error = await failureOf(run());

    expect(error.code).toBe("E_VERSION_DOWN");
    expect(report.messages).toEqual([]);
    expect(await balancer.weights()).toEqual(start);
  });
});

describe("beside the version that serves", () => {
  /** Limits that never end a canary, so that only the comparison can. */
  const deaf = { "error-rate": "> 99%", "health-failures": "> 99" };

  test("a version that fails more often is aborted below every limit, with the numbers", async () => {
    await begin();
    balancer.green.failEvery = 8;
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ bake: "30s", steps: ["50%"], "abort-when": deaf });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(error.message).toMatch(
      /^green fails, and the others do not: \d+ of \d+ requests against 0 of \d+ \(e-value \d+, limit \d+\) at 50%$/,
    );
    const [found] = (error.details as { figures: { comparison: { evidence: number; threshold: number }[] } })
      .figures.comparison;
    expect(found?.evidence).toBeGreaterThanOrEqual(found?.threshold ?? Number.POSITIVE_INFINITY);
    expect(await balancer.weights()).toEqual(start);
    expect(report.last).toMatchObject({ phase: "aborted" });
  });

  test("an outage that both share does not end the canary", async () => {
    await begin();
    balancer.green.failEvery = 4;
    balancer.blue.failEvery = 4;
    await using _load = new Load(balancer.port);
    const { run } = await prepare({ bake: "3s", steps: ["50%"], "abort-when": deaf });

    const output = await run();

    const { verdict, steps } = output as { verdict: string; steps: StepResult[] };
    expect(verdict).toBe("pass");
    expect(steps[0]?.errors).toBeGreaterThan(50);
    expect(steps[0]?.comparison[0]?.besideBad).toBeGreaterThan(50);
  });

  test("a version that is slower is aborted by what was learned before", async () => {
    await begin();
    balancer.green.latency = 60;
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({
      bake: "30s",
      steps: ["50%"],
      compare: { learn: "1s" },
      "abort-when": deaf,
    });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(error.message).toMatch(
      /^green takes longer than \d+ms( \d+\.?\d* times as often as the others|, and)/,
    );
    expect(report.lines[0]).toMatch(/^route web as it is: errors come one by one, slow is more than \d+ms$/);
    expect(await balancer.weights()).toEqual(start);
  });

  test("a version that is slower by what no user notices passes, unless every millisecond counts", async () => {
    await begin();
    balancer.green.latency = 20;
    await using _load = new Load(balancer.port);
    const input = (slowerBy: string) => ({
      bake: "3s",
      steps: ["50%"],
      compare: { learn: "1s", "slower-by": slowerBy },
      "abort-when": deaf,
    });
    const forgiving = await prepare(input("1s"));

    expect(await forgiving.run()).toMatchObject({
      verdict: "pass",
      steps: [{ comparison: [{}, { of: "slow", bad: 0 }] }],
    });

    await balancer.setWeight("green", 0);
    await balancer.setWeight("blue", 100);
    const strict = await prepare({ ...input("0ms"), bake: "30s" });
    expect((await failureOf(strict.run())).message).toMatch(/^green takes longer than \d+ms/);
  });

  test("nothing is compared where that is not wanted, or where the new version has everything", async () => {
    await begin();
    balancer.green.failEvery = 8;
    await using _load = new Load(balancer.port);
    const input = { steps: ["50%"], "abort-when": deaf };
    const off = await prepare({ ...input, compare: { alpha: "0%", learn: "0s" } });

    expect(await off.run()).toMatchObject({ verdict: "pass", steps: [{ comparison: [] }] });

    await balancer.setWeight("green", 0);
    await balancer.setWeight("blue", 100);
    const whole = await prepare({ ...input, steps: ["100%"] });
    expect(await whole.run()).toMatchObject({ verdict: "pass", steps: [{ comparison: [] }] });
  });

  test("what was learned and compared goes on after an interruption", async () => {
    await begin();
    await using _load = new Load(balancer.port);
    const input = { steps: ["10%", "50%"], compare: { learn: "500ms" } };
    const { context, parsed, before, report, run } = await prepare(input);
    const stopAtSecondStep = (async () => {
      while ((report.last as { step?: number } | undefined)?.step !== 1) await delay(10);
      context.requestStop();
    })();
    await failureOf(run());
    await stopAtSecondStep;
    const kept = (report.last as { comparison: { errors: { baseline: { requests: number } } } }).comparison;
    const resumed = new RecordingReport(report.last);

    const output = await canary.apply(testContext(balancer.settings()), parsed, before, resumed);

    expect(kept.errors.baseline.requests).toBeGreaterThan(50);
    expect(resumed.lines.join()).not.toContain("as it is");
    const { steps } = output as { steps: { comparison: { besideRequests: number }[] }[] };
    expect(steps[1]?.comparison[0]?.besideRequests).toBeGreaterThan(kept.errors.baseline.requests);
  });
});

describe("before a bake", () => {
  test("a version's warm-up is not judged", async () => {
    await begin();
    balancer.green.failEvery = 2;
    await using _load = new Load(balancer.port);
    const { run, report } = await prepare({ "warm-up": "1s", steps: ["50%"] });
    const recover = (async () => {
      while (!report.messages.at(-1)?.endsWith("warming up")) await delay(10);
      await delay(500);
      balancer.green.failEvery = 0;
    })();

    const output = await run();
    await recover;

    expect(output).toMatchObject({ verdict: "pass", steps: [{ errors: 0 }] });
  });

  test("a share that does not show in the requests ends the canary", async () => {
    // Everybody has a cookie of the old version: weights alone move nobody.
    await begin({ backendLines: ["use-server blue if TRUE"] });
    await using _load = new Load(balancer.port);
    const { run } = await prepare({ bake: "30s", deadline: "1s", steps: ["50%"] });

    const error = await failureOf(run());

    expect(error.code).toBe("E_CANARY_ABORTED");
    expect(error.message).toMatch(/^green got 0% of \d+ requests instead of 50%$/);
    expect(await balancer.weights()).toEqual(start);
  });
});
