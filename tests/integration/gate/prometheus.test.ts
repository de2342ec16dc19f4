import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checks } from "../../../src/gate/checks.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { measuredCheck } from "../../support/measured-check.ts";
import { startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { until } from "../wal/setting.ts";

const metrics = `# TYPE shop_queue gauge
shop_queue{shard="a"} 3
shop_queue{shard="b"} 12
# TYPE shop_errors gauge
shop_errors 0.025
# TYPE shop_wait_seconds gauge
shop_wait_seconds 0.4
# TYPE shop_idle gauge
shop_idle 0
`;
const rules = [
  { alert: "ShopQueueLong", expr: "shop_queue > 10", labels: { severity: "page" } },
  { alert: "ShopSlow", expr: "shop_wait_seconds > 5", labels: { severity: "ticket" } },
  { alert: "ShopOld", expr: "shop_errors > 0", for: "1h", labels: { severity: "ticket" } },
  { alert: "Watchdog", expr: "vector(1)", labels: { severity: "none" } },
];

let exporter: TestHttpServer;
let prometheus: TestPrometheus;
beforeAll(async () => {
  exporter = await startHttpServer((_request, response) => response.end(metrics));
  prometheus = await startPrometheus({ targets: [new URL(exporter.url).host], rules, interval: "1s" });
  await until(
    () => prometheus.has('ALERTS{alertname="ShopQueueLong",alertstate="firing"}'),
    "the first alert",
  );
});
afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]();
  await exporter?.stop();
});

function asked(input: object, limits: object = {}, settings: object = {}): Promise<CheckResult> {
  return measuredCheck(testContext(settings), checks, { kind: "prometheus", with: input, ...limits });
}
const prom = (input: object, limits: object = {}) => asked({ url: prometheus.url, ...input }, limits);

describe("an expression", () => {
  test.each([
    [{ query: "sum(shop_queue)" }, { fail: "> 10" }, "fail", "15, limit > 10"],
    [
      { query: "shop_wait_seconds", unit: "seconds" },
      { warn: "> 300ms", fail: "> 500ms" },
      "warn",
      "400ms, limit > 300ms",
    ],
    [{ query: "shop_errors", unit: "ratio" }, { fail: "> 5%" }, "pass", "2.5%, within limit > 5%"],
    [
      { query: "shop_queue" },
      { fail: "> 10" },
      "unknown",
      /^the expression gives 2 series, shop_queue\{.*join them/,
    ],
    [
      { query: "shop_queue", series: "any" },
      { fail: "> 10" },
      "fail",
      /^1 of 2 series, shop_queue\{.*shard="b".*\} is 12, limit > 10$/,
    ],
    [{ query: "shop_queue", series: "any" }, { fail: "> 20" }, "pass", "all 2 series within limit > 20"],
    [
      { query: "shop_queue", series: "all" },
      { fail: "> 10", warn: "> 2" },
      "warn",
      /^2 of 2 series, .* is 3, limit > 2$/,
    ],
    [{ query: "shop_queue", series: "max" }, { fail: "> 11" }, "fail", /shard="b".* is 12, limit > 11$/],
    [
      { query: "shop_queue", series: "min" },
      { fail: "> 11" },
      "pass",
      /shard="a".* is 3, within limit > 11$/,
    ],
    [{ query: "shop_nobody" }, { fail: "> 1" }, "unknown", "the expression gives no series"],
    [
      { query: "shop_queue > 100", absent: "pass" },
      { fail: "> 1" },
      "pass",
      "the expression gives no series",
    ],
    [{ query: "shop_idle / shop_idle" }, { fail: "> 1" }, "unknown", /is no number$/],
    [{ query: "shop_errors" }, {}, "unknown", /no limit says what is good/],
    [{ query: "sum(shop_queue" }, { fail: "> 1" }, "unknown", /^Prometheus refuses "sum\(shop_queue"/],
  ])("%o with %o is %s", async (input, limits, status, reason) => {
    const result = await prom(input, limits);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });

  test("has its series with their labels as evidence", async () => {
    expect(await prom({ query: "shop_queue", series: "any" }, { fail: "> 10" })).toMatchObject({
      evidence: {
        query: "shop_queue",
        series: [
          { labels: { __name__: "shop_queue", shard: "a", job: "web" }, value: 3 },
          { labels: { shard: "b" }, value: 12 },
        ],
      },
    });
  });

  test("is judged over a time, where there are enough values in it", async () => {
    const over = { query: "sum(shop_queue)", over: "600ms", step: "200ms" };
    await expect
      .poll(async () => (await prom(over, { fail: "> 10" })).status, { timeout: 10_000 })
      .toBe("fail");

    expect(await prom({ ...over, take: "mean" }, { fail: "> 10" })).toMatchObject({
      reason: "15 (mean over 600ms), limit > 10",
      evidence: { over: 600, series: [{ value: 15, values: expect.any(Number) }] },
    });
    // Of ten hours it has seen some seconds.
    expect(await prom({ query: "sum(shop_queue)", over: "10h" }, { fail: "> 10" })).toMatchObject({
      status: "unknown",
      reason: expect.stringMatching(/^\{\} has \d+ values? in 10h 00m, too few to judge$/),
    });
  });

  test("is asked of the Prometheus that a route has its metrics in", async () => {
    const route = (url: string) => ({
      socket: "/nowhere",
      backend: "web",
      versions: { blue: "blue", green: "green" },
      metrics: { source: "prometheus", url, requests: "x", "status-label": "code" },
    });
    const query = { query: "sum(shop_queue)" };

    expect(await asked(query, { fail: "> 10" }, { routes: { web: route(prometheus.url) } })).toMatchObject({
      status: "fail",
    });
    const two = { routes: { web: route(prometheus.url), api: route("http://127.0.0.1:1") } };
    expect(await asked(query, { fail: "> 10" }, two)).toMatchObject({
      status: "unknown",
      reason: "Several routes have their metrics in Prometheus: web, api",
    });
    expect(await asked({ ...query, route: "api" }, { fail: "> 10" }, two)).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("http://127.0.0.1:1/api/v1/query: "),
    });
  });
});

describe("alerts", () => {
  test.each([
    [
      { alerts: { severity: "page" } },
      {},
      "fail",
      /^1 alert fires: ShopQueueLong since \d{4}-\d\d-\d\dT[\d:]{8}Z$/,
    ],
    [
      { alerts: { severity: ["page", "ticket"] }, except: ["ShopQueueLong"] },
      {},
      "pass",
      "none of 2 alerts fires, ShopOld pending",
    ],
    [{ alerts: { alertname: "ShopSlow" } }, {}, "pass", "none of 1 alert fires"],
    [{ alerts: {} }, {}, "fail", /^2 alerts fire: .* and 1 more$/],
    [{ alerts: {} }, { fail: "> 2", warn: "> 1" }, "warn", /^2 alerts fire: .*, limit > 1$/],
    // Nothing that could fire: it says nothing that nothing does.
    [{ alerts: { severity: "pager" } }, {}, "unknown", "None of 4 alerting rules has severity pager"],
  ])("%o with %o is %s", async (input, limits, status, reason) => {
    const result = await prom(input, limits);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });

  test("have their labels and their beginning as evidence", async () => {
    expect(await prom({ alerts: { severity: "page" } })).toMatchObject({
      value: 1,
      evidence: {
        firing: [
          {
            name: "ShopQueueLong",
            labels: { severity: "page", shard: "b" },
            since: expect.stringMatching(/^\d{4}/),
          },
        ],
        pending: [],
        rules: 1,
      },
    });
  });
});

test.each([
  [{ url: "http://x/" }, {}, /with\.query: needs either "query:" or "alerts:"/],
  [
    { url: "http://x/", query: "up", unit: "seconds" },
    { fail: "> 5%" },
    /the limit "> 5%" has the wrong unit/,
  ],
  [{ query: "up", user: "ops" }, {}, /with\.user: needs "url:"/],
  [{ url: "http://x/", query: "up", password: "hunter2" }, {}, /with\.password: must be a reference/],
  [{ url: "nowhere", query: "up" }, {}, /with\.url: "nowhere" is not the URL/],
])("%o with %o is refused before anything is asked", async (input, limits, message) => {
  await expect(asked(input, limits)).rejects.toThrow(message);
});
