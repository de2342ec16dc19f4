import { rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { OpsError } from "../../../src/core/errors.ts";
import { runtimeCommand } from "../../../src/haproxy/runtime-socket.ts";
import type { StepResult } from "../../../src/rollout/step-result.ts";
import { canary } from "../../../src/traffic/canary.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { type Balancer, type BalancerOptions, Load, startBalancer } from "../../support/haproxy.ts";
import { lastingPort, startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { until } from "../wal/setting.ts";

const start = { blue: 100, green: 0 };
const quick = {
  to: "green",
  steps: ["50%"],
  bake: "1s",
  extend: "500ms",
  deadline: "5s",
  interval: "100ms",
  "min-requests": 10,
  compare: { learn: "0s" },
};

let balancer: Balancer;
afterEach(async () => {
  await balancer?.[Symbol.asyncDispose]();
});

async function prepare(metrics: object, input: object = {}) {
  const context = testContext(balancer.settings({ metrics }));
  const parsed = canary.input.parse({ ...quick, ...input });
  const before = await canary.observe(context, parsed);
  const report = new RecordingReport();
  return {
    report,
    run: () => canary.apply(context, parsed, before, report) as Promise<{ steps: StepResult[] }>,
  };
}

/** The canary's error; `at` is called once its bake has begun. */
async function failureOf(
  { report, run }: Awaited<ReturnType<typeof prepare>>,
  at: () => Promise<void> | void = () => undefined,
): Promise<OpsError> {
  const [error] = await Promise.all([
    errorOf(run()),
    until(async () => / of \d\.\ds/.test(report.messages.at(-1) ?? ""), "the bake").then(at),
  ]);
  return error;
}

describe("a canary that Prometheus counts", () => {
  let prometheus: TestPrometheus;
  let metricsPort: number;
  beforeAll(async () => {
    metricsPort = await lastingPort();
    prometheus = await startPrometheus({ targets: [`127.0.0.1:${metricsPort}`] });
    await using _first = await startBalancer({ metricsPort });
    await until(() => prometheus.has('haproxy_server_weight{server="green"}'), "the first scrape");
  });
  afterAll(() => prometheus?.[Symbol.asyncDispose]());

  const begin = async (options: BalancerOptions = {}) => {
    balancer = await startBalancer({ ...options, metricsPort });
    await until(
      () => prometheus.has('haproxy_server_weight{server="green"} == 0 and on() up == 1'),
      "a scrape",
    );
  };
  const metrics = (more: object = {}) => ({
    source: "prometheus",
    url: prometheus.url,
    timeout: "500ms",
    requests: 'haproxy_server_http_responses_total{proxy="web",server="{{name}}"}',
    "status-label": "code",
    "max-age": "2s",
    ...more,
  });

  test("passes with the requests that were scraped since the weights were set", async () => {
    await begin();
    await using load = new Load(balancer.port);
    const { run } = await prepare(metrics());

    const { steps } = await run();
    const { answers } = await load.stop();

    expect(steps[0]).toMatchObject({ errors: 0, restarts: 0 });
    expect(steps[0]?.requests).toBeGreaterThan(50);
    expect(steps[0]?.requests).toBeLessThan(answers.green ?? 0);
    expect(Math.abs((steps[0]?.observedShare ?? 0) - 50)).toBeLessThan(15);
    expect(steps[0]?.comparison[0]?.besideRequests).toBeGreaterThan(50);
  });

  test("is aborted by 5xx, and by what the balancer hides when an expression names it", async () => {
    await begin({
      backendLines: ["option redispatch 1", "retries 3", "retry-on conn-failure empty-response"],
    });
    await using _load = new Load(balancer.port);
    balancer.green.failEvery = 8;
    const visible = await errorOf((await prepare(metrics(), { deadline: "20s" })).run());
    balancer.green.failEvery = 0;
    balancer.green.mode = "empty";
    const hidden = ["retry_warnings", "redispatch_warnings"].map(
      (each) => `haproxy_server_${each}_total{proxy="web",server="{{name}}"}`,
    );
    const hiding = await errorOf((await prepare(metrics({ bad: hidden }), { deadline: "20s" })).run());

    expect(visible.code).toBe("E_CANARY_ABORTED");
    expect(visible.message).toMatch(/^green (answered \d+ of .* badly|fails)/);
    expect(hiding.code).toBe("E_CANARY_ABORTED");
    expect(hiding.message).toMatch(/^green (answered (\d+) of \2 requests badly|fails, and)/);
    expect(await balancer.weights()).toEqual(start);
  });

  test("cannot begin with an expression that Prometheus refuses, or a label that is not there", async () => {
    await begin();
    await expect(prepare(metrics({ requests: 'up{server="{{name}}"' }))).rejects.toMatchObject({
      code: "E_PROMETHEUS_QUERY",
      message: expect.stringMatching(/: Prometheus refuses "up\{server="(blue|green)"": .*parse error/),
    });
    await expect(prepare(metrics({ "status-label": "status" }))).rejects.toMatchObject({
      code: "E_METRICS_LABEL",
      exitCode: 2,
    });
    await expect(prepare(metrics(), { "abort-when": { p95: "> 1s" } })).rejects.toMatchObject({
      code: "E_REQUEST_TIMES",
      exitCode: 2,
    });
  });

  test.each([
    [
      "finds nothing",
      ['haproxy_server_errors{server="{{name}}"}'],
      /has no series of \w+ for "haproxy_server_errors/,
    ],
    ["is no number", ['0 / (0 * haproxy_server_weight{server="{{name}}"})'], / of \w+ is NaN \(for /],
  ])("has no verdict where an expression for bad requests %s", async (_what, bad, message) => {
    await begin();
    await using _load = new Load(balancer.port);
    const { run } = await prepare(metrics({ "status-label": undefined, bad }), { deadline: "600ms" });

    const error = await errorOf(run());

    expect(error.code).toBe("E_CANARY_INCONCLUSIVE");
    expect(error.message).toMatch(message);
    expect(await balancer.weights()).toEqual(start);
  });

  test("has no verdict when one version's series go away, also with too few requests to miss any", async () => {
    await begin();
    const gone = `label_replace(haproxy_frontend_limit_sessions{proxy="public"} == 777, "server", "green", "", "")`;
    const requests = `${metrics().requests} unless on(server) ${gone}`;
    const prepared = await prepare(metrics({ requests, "max-age": "1s" }), { bake: "2500ms" });
    const trickle = setInterval(
      () => void fetch(`http://127.0.0.1:${balancer.port}/`).catch(() => undefined),
      50,
    );

    const error = await failureOf(prepared, async () => {
      await delay(1000);
      await runtimeCommand(balancer.socket, "set maxconn frontend public 777");
    }).finally(() => clearInterval(trickle));

    expect(error.code).toBe("E_CANARY_INCONCLUSIVE");
    expect(error.message).toMatch(/the figures of green are gone \(for /);
    expect(await balancer.weights()).toEqual(start);
  });

  test("has no verdict when Prometheus goes away, and still sees that the version is DOWN", async () => {
    await begin();
    await using _load = new Load(balancer.port);
    const error = await failureOf(await prepare(metrics()), () => prometheus.kill());

    expect(error.code).toBe("E_CANARY_INCONCLUSIVE");
    expect(error.message).toMatch(/the connection was refused \(for \d\.\ds\)$/);
    expect(await balancer.weights()).toEqual(start);

    const blind = await prepare(metrics());
    const [down] = await Promise.all([
      errorOf(blind.run()),
      until(async () => blind.report.messages.length > 1, "a look").then(() => {
        balancer.green.healthy = false;
      }),
    ]);
    expect(down).toMatchObject({ code: "E_CANARY_ABORTED", message: "green is DOWN at 50%" });
  });
});

describe("a canary that an access log counts", () => {
  const metrics = { source: "log", file: "access.log", format: "haproxy", "max-age": "500ms" };
  const log = () => ({ ...metrics, file: join(balancer.directory, "access.log") });
  const begin = async () => {
    balancer = await startBalancer({ logFile: "access.log" });
  };

  test("passes with every request and its time, over a rotation", async () => {
    await begin();
    await using _load = new Load(balancer.port);
    const { report, run } = await prepare(log(), { steps: ["50%"], "abort-when": { p95: "> 300ms" } });
    const rotation = until(async () => / of \d\.\ds/.test(report.messages.at(-1) ?? ""), "the bake").then(
      () => balancer.rotateLog(),
    );

    const [{ steps }] = await Promise.all([run(), rotation]);

    expect(steps[0]).toMatchObject({ errors: 0, p95: expect.any(Number) });
    expect(steps[0]?.requests).toBeGreaterThan(100);
    expect(Math.abs((steps[0]?.observedShare ?? 0) - 50)).toBeLessThan(5);
  });

  test("is aborted by errors, and by a p95 over its limit", async () => {
    await begin();
    await using _load = new Load(balancer.port);
    balancer.green.latency = 120;
    const slow = await errorOf((await prepare(log(), { "abort-when": { p95: "> 100ms" } })).run());
    balancer.green.latency = 2;
    balancer.green.failEvery = 8;
    const failing = await errorOf((await prepare(log())).run());

    expect(slow.message).toMatch(/^green has a p95 of 1\d\dms over \d+ requests \(limit > 100ms\) at 50%$/);
    expect(failing.code).toBe("E_CANARY_ABORTED");
    expect(failing.message).toMatch(/^green (answered \d+ of .* badly|fails)/);
    expect(await balancer.weights()).toEqual(start);
  });

  test("has no verdict when the log is moved away, or its lines stop, or have another form", async () => {
    await begin();
    const load = new Load(balancer.port);
    const gone = await failureOf(await prepare(log()), () => rename(log().file, `${log().file}.1`));
    await rename(`${log().file}.1`, log().file);
    const form = await errorOf(
      (await prepare({ ...log(), format: "combined" }, { deadline: "500ms" })).run(),
    );
    const silent = await failureOf(await prepare(log(), { bake: "3s", extend: "500ms" }), async () => {
      await delay(300);
      await load.stop();
    });

    expect([gone.code, form.code, silent.code]).toEqual(Array(3).fill("E_CANARY_INCONCLUSIVE"));
    expect(gone.message).toMatch(/the log .*access\.log is gone/);
    expect(form.message).toMatch(/none of \d+ lines of .*access\.log has the form "combined"/);
    expect(silent.message).toMatch(
      /no request of green was seen for [\d.]+s, in which \d+ were to be expected/,
    );
    expect(await balancer.weights()).toEqual(start);
  });

  test("is not promoted by the time of a pause while the log is away", async () => {
    await begin();
    await using _load = new Load(balancer.port);
    const steps = ["50%", "pause:1s", "100%"];
    const { report, run } = await prepare(log(), { steps, bake: "300ms", unpromoted: "promote" });
    const move = until(async () => report.messages.at(-1)?.includes("paused") ?? false, "the pause").then(
      () => rename(log().file, `${log().file}.1`),
    );

    const error = await errorOf(run());
    await move;

    expect(error).toMatchObject({
      code: "E_CANARY_INCONCLUSIVE",
      message: expect.stringContaining("is gone"),
    });
    expect(await balancer.weights()).toEqual(start);
  });

  test("is confirmed by it also in a shift", async () => {
    await begin();
    await using _load = new Load(balancer.port);

    const { output } = await perform(shift, testContext(balancer.settings({ metrics: log() })), {
      to: "green",
      share: "25%",
    });

    expect(output).toMatchObject({ confirmed: true });
  });
});

async function errorOf(work: Promise<unknown>): Promise<OpsError> {
  return work.then(
    () => {
      throw new Error("the canary passed");
    },
    (reason: unknown) => reason as OpsError,
  );
}
