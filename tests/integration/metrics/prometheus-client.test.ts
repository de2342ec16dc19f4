import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { Secret } from "../../../src/config/secret.ts";
import { errorRecord } from "../../../src/core/errors.ts";
import { redact } from "../../../src/core/redaction.ts";
import { type PrometheusServer, queryValue, queryVector } from "../../../src/prometheus/client.ts";
import { ResponseTimes } from "../../../src/request-source/response-times.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { freePort } from "../../support/haproxy.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { projectRoot } from "../../support/ops.ts";
import { startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { until } from "../wal/setting.ts";

/** Requests that took up to 0.1 s, 0.5 s and longer, all told. */
let [quick, slow, slowest] = [100, 100, 100];
const histogram = () => `# TYPE shop_seconds histogram
shop_seconds_bucket{version="green",le="0.1"} ${quick}
shop_seconds_bucket{version="green",le="0.5"} ${slow}
shop_seconds_bucket{version="green",le="+Inf"} ${slowest}
`;
const metrics = `# TYPE shop_requests_total counter
shop_requests_total{version="green",code="200"} 40
shop_requests_total{version="green",code="500"} 2
shop_idle_total{version="green"} 0
shop_old_total{version="green"} 7 ${Date.now() - 100_000}
`;

/** `htpasswd -nbB ops correct-horse`, with the least rounds. */
const bcrypt = "$2b$04$abcdefghijklmnopqrstuuPoaPXzWjiVz4HaNq2LJXksWbO79E.S6";

let exporter: TestHttpServer;
let prometheus: TestPrometheus;
beforeAll(async () => {
  exporter = await startHttpServer((_request, response) => response.end(metrics + histogram()));
  prometheus = await startPrometheus({ targets: [new URL(exporter.url).host] });
  await until(() => prometheus.has("shop_requests_total"), "the first scrape");
});
afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]();
  await exporter?.stop();
});

function server(url: string, more: Partial<PrometheusServer> = {}): PrometheusServer {
  return {
    url: new Secret(url, "/"),
    headers: {},
    user: undefined,
    password: undefined,
    timeout: 3000,
    directory: "/",
    ...more,
  };
}
const value = (expression: string) => queryValue(server(prometheus.url), expression);

describe("an expression that is meant to give one number", () => {
  test("gives it, or one of three ways of having none, which are not each other and not zero", async () => {
    expect(await value("sum(shop_requests_total)")).toEqual({ kind: "value", value: 42, warnings: [] });
    expect(await value("2 + 3")).toMatchObject({ kind: "value", value: 5 });
    expect(await value("shop_idle_total / shop_idle_total")).toMatchObject({
      kind: "not-a-number",
      text: "NaN",
    });
    expect(await value("-1 / shop_idle_total")).toMatchObject({ kind: "not-a-number", text: "-Inf" });
    expect(await value("shop_orders_total")).toEqual({ kind: "empty", warnings: [] });
    expect(await value("sum(shop_requests_total")).toMatchObject({
      kind: "error",
      error: { code: "E_PROMETHEUS_QUERY", retryable: false, message: expect.stringContaining("unclosed") },
    });
  });

  test("is told that it gives several series, and which", async () => {
    const outcome = await value("shop_requests_total");

    expect(outcome).toMatchObject({
      kind: "error",
      error: {
        code: "E_PROMETHEUS_SERIES",
        hint: "join them: sum(shop_requests_total), or name more labels",
      },
    });
    expect(outcome.kind === "error" && outcome.error.message).toMatch(
      /gives 2 series instead of one: shop_requests_total\{code="200",.*code="500"/,
    );
  });

  test("is told that a range is no number", async () => {
    expect(await value("shop_requests_total[5m]")).toMatchObject({
      kind: "error",
      error: { code: "E_PROMETHEUS_QUERY", hint: expect.stringContaining("take the range") },
    });
  });
});

function sourceOf(metrics: object) {
  const web = {
    driver: "exec",
    get: ["false"],
    set: ["false"],
    versions: { blue: "blue", green: "green" },
    metrics: { source: "prometheus", url: prometheus.url, ...metrics },
  };
  const environment = new Environment("test", "/", environmentSchema.parse({ routes: { web } }));
  const { requests } = openRoute(environment, "web");
  if (requests === undefined) throw new Error("the route has no source");
  return requests;
}

describe("counters of a route", () => {
  const requests = 'shop_requests_total{version="{{version}}"}';

  test("are added up, and of a version that has none there are none", async () => {
    expect(await sourceOf({ requests, "status-label": "code" }).read()).toMatchObject([
      { version: "blue", counters: { requests: 0, serverErrors: 0 } },
      { version: "green", counters: { requests: 42, serverErrors: 2 }, age: expect.any(Number) },
    ]);
  });

  test("that are old, a part of all, or none, are missing and say why", async () => {
    const body = {
      status: "success",
      warnings: ["store 2 is away"],
      data: { resultType: "vector", result: [] },
    };
    const partial = await startHttpServer((_request, response) => response.end(JSON.stringify(body)));
    const read = (metrics: object) => sourceOf({ "status-label": "code", ...metrics }).read();
    try {
      await expect(read({ requests, url: partial.url })).rejects.toMatchObject({
        code: "E_METRICS_PARTIAL",
        message: "The requests of route web are not known: Prometheus warns: store 2 is away",
      });
    } finally {
      await partial.stop();
    }
    const old = 'shop_old_total{version="{{version}}"}';
    const bad = [old];
    await expect(read({ requests: old, "status-label": undefined, bad })).rejects.toMatchObject({
      code: "E_METRICS_STALE",
      message: expect.stringMatching(/the newest figures of green are 1m \d\ds old \(limit 1m 00s\)/),
    });
    // Fresh requests beside errors that nobody counts any more.
    await expect(read({ requests, "status-label": undefined, bad })).rejects.toMatchObject({
      code: "E_METRICS_STALE",
    });
    await expect(read({ requests: "shop_orders_total" })).rejects.toMatchObject({ code: "E_METRICS_EMPTY" });
    await expect(read({ requests, url: `http://127.0.0.1:${await freePort()}` })).rejects.toMatchObject({
      code: "E_HTTP_REFUSED",
      hint: 'see that it answers, or correct "metrics:" of "routes: web:" in .opsrc',
    });
  });
});

describe("request times of a histogram", () => {
  const source = (buckets: string) => {
    const requests = sourceOf({
      requests: 'shop_requests_total{version="{{version}}"}',
      "status-label": "code",
      buckets,
    });
    if (requests.times === undefined) throw new Error("the route has no request times");
    return { times: requests.times, requireTimes: requests.requireTimes };
  };

  test("are those since the first look, spread within their buckets", async () => {
    const abort = new AbortController();
    const times = new ResponseTimes();
    let looked = false;
    // The second look is a second after the first.
    const grow = until(() => prometheus.has("shop_seconds_bucket == 100"), "a scrape").then(async () => {
      await setTimeout(500);
      [quick, slow, slowest] = [140, 190, 200];
      looked = true;
    });
    for await (const { version, time, requests } of source(
      'shop_seconds_bucket{version="{{version}}"}',
    ).times(abort.signal)) {
      expect([version, looked]).toEqual(["green", true]);
      times.add(time, requests);
      if (times.total >= 100) abort.abort();
    }
    await grow;

    expect(times.total).toBe(100);
    expect(times.percentile(40)).toBeLessThanOrEqual(100);
    expect(times.percentile(65)).toBeGreaterThan(250);
    expect(times.percentile(65)).toBeLessThan(350);
    expect(times.percentile(95)).toBe(501);
  });

  test("must be there, with buckets beyond the limit", async () => {
    const code = "E_REQUEST_TIMES";
    await source('shop_seconds_bucket{version="{{version}}"}').requireTimes(500);
    await expect(
      source('shop_seconds_bucket{version="{{version}}"}').requireTimes(501),
    ).rejects.toMatchObject({
      code,
      message: expect.stringContaining("its buckets end at 500ms, and the p95 limit of 501ms lies beyond"),
    });
    await expect(source("shop_minutes_bucket").requireTimes(100)).rejects.toMatchObject({
      code,
      exitCode: 2,
    });
    await expect(source("shop_requests_total").requireTimes(100)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/shop_requests_total\{.*\} has no label "le"$/),
    });
  });
});

describe("a server that does not answer as Prometheus", () => {
  const outcomeOf = async (address: PrometheusServer) => queryVector(address, "up");

  test("is named for what it is: away, silent, another one, busy", async () => {
    await using stack = new AsyncDisposableStack();
    const other = await startHttpServer((_request, response) => response.end("<html>Log in</html>"));
    stack.defer(() => other.stop());
    const busy = await startHttpServer((_request, response) => {
      response.statusCode = 503;
      response.end(JSON.stringify({ status: "error", errorType: "timeout", error: "query timed out" }));
    });
    stack.defer(() => busy.stop());
    const silent = await startHttpServer(() => undefined);
    stack.defer(() => silent.stop());
    const cut = await startHttpServer((_request, response) => response.end('{"status":"succ'));
    stack.defer(() => cut.stop());

    const codes = await Promise.all(
      [
        server(`http://127.0.0.1:${await freePort()}`),
        server(silent.url, { timeout: 200 }),
        server(other.url),
        server(busy.url),
        server(cut.url),
        server(`${prometheus.url}/graph`),
        server("env:NO_SUCH_VARIABLE_OF_OPS"),
      ].map(async (each) => {
        const outcome = await outcomeOf(each);
        return outcome.kind === "error" ? `${outcome.error.code} ${outcome.error.retryable}` : outcome.kind;
      }),
    );

    expect(codes).toEqual([
      "E_HTTP_REFUSED true",
      "E_HTTP_TIMEOUT true",
      "E_PROMETHEUS_ANSWER false",
      "E_PROMETHEUS_UNAVAILABLE true",
      "E_PROMETHEUS_ANSWER false",
      "E_PROMETHEUS_ANSWER false",
      "E_SECRET false",
    ]);
  });

  test("keeps the warnings of a partial answer", async () => {
    const body = {
      status: "success",
      warnings: ["store 2 is away"],
      data: { resultType: "vector", result: [] },
    };
    const partial = await startHttpServer((_request, response) => response.end(JSON.stringify(body)));
    try {
      expect(await outcomeOf(server(partial.url))).toEqual({ kind: "empty", warnings: ["store 2 is away"] });
    } finally {
      await partial.stop();
    }
  });

  test("ends at once when the work is aborted", async () => {
    const silent = await startHttpServer(() => undefined);
    const abort = new AbortController();
    void setTimeout(50).then(() => abort.abort(new Error("enough")));
    try {
      await expect(queryVector(server(silent.url), "up", { signal: abort.signal })).rejects.toThrow("enough");
    } finally {
      await silent.stop();
    }
  });
});

test("a server with a password lets in who has it, and no secret is shown", async () => {
  process.env.OPS_TEST_PROMETHEUS_TOKEN = "correct-horse";
  await using guarded = await startPrometheus({
    targets: [],
    web: `basic_auth_users: { ops: '${bcrypt}' }\n`,
    ready: async (url) => (await fetch(`${url}/-/ready`).catch(() => undefined))?.status === 401,
  });
  const password = new Secret("env:OPS_TEST_PROMETHEUS_TOKEN", "/");

  expect(await queryValue(server(guarded.url, { user: "ops", password }), "1")).toMatchObject({
    kind: "value",
    value: 1,
  });
  const basic = `Basic ${Buffer.from("ops:correct-horse").toString("base64")}`;
  expect(redact(basic)).toBe("Basic ***");
  const refused = await queryVector(server(guarded.url, { user: "ops" }), "1");
  expect(refused).toMatchObject({ kind: "error", error: { code: "E_PROMETHEUS_ACCESS", retryable: false } });
  const wrong = await queryVector(server(`http://ops:secret-horse@127.0.0.1:${guarded.port}`), "1");
  expect(JSON.stringify(errorRecord((wrong as { error: unknown }).error))).not.toContain("secret-horse");

  const asked = await startHttpServer((_request, response) => response.end("{}"));
  try {
    await queryVector(
      server(asked.url, { headers: { authorization: "Bearer env:OPS_TEST_PROMETHEUS_TOKEN" } }),
      "1",
    );
    expect(asked.requests[0]?.headers.authorization).toBe("Bearer correct-horse");
    expect(asked.requests[0]).toMatchObject({ method: "POST", url: "/api/v1/query", body: "query=1" });
  } finally {
    await asked.stop();
  }
});

test("a certificate that nobody vouches for is refused, and one of an authority that NODE_EXTRA_CA_CERTS names is not", async () => {
  const run = promisify(execFile);
  const directory = await mkdtemp(join(tmpdir(), "ops-tls-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const [certificate, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  const name = ["-subj", "/CN=prometheus", "-addext", "subjectAltName=IP:127.0.0.1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await run("openssl", ["req", "-x509", ...curve, ...name, "-keyout", key, "-out", certificate]);
  const secure = stack.use(
    await startPrometheus({
      targets: [],
      web: `tls_server_config: { cert_file: ${certificate}, key_file: ${key} }\n`,
      // It tells who speaks plain HTTP to it.
      ready: async (url) => (await fetch(`${url}/-/ready`).catch(() => undefined))?.status === 400,
    }),
  );
  const url = secure.url.replace("http:", "https:");

  expect(await queryValue(server(url), "1")).toMatchObject({ kind: "error", error: { code: "E_HTTP_TLS" } });
  const script = `
    const { queryValue } = await import("./src/prometheus/client.ts");
    const { Secret } = await import("./src/config/secret.ts");
    const server = { url: new Secret(${JSON.stringify(url)}, "/"), headers: {}, timeout: 3000, directory: "/" };
    console.log(JSON.stringify(await queryValue(server, "1")));`;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: certificate };
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], {
    cwd: projectRoot,
    env,
  });
  expect(JSON.parse(stdout)).toMatchObject({ kind: "value", value: 1 });
});
