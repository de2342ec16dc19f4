import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import type { OpsError } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { badRequests, CountingWindow, settledRequests } from "../../../src/request-source/counters.ts";
import type { VersionCounts } from "../../../src/request-source/request-source.ts";
import type { Reading } from "../../../src/rollout/reading.ts";
import { canary } from "../../../src/traffic/canary.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { Load, request } from "../../support/haproxy.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { type Nginx, startNginx } from "../../support/nginx.ts";
import { startTestCluster } from "../../support/postgres.ts";

/** The source of a route whose balancer is of no account here. */
function source(metrics: object, more: object = {}) {
  const web = {
    driver: "exec",
    get: ["false"],
    set: ["false"],
    versions: { blue: "pool-a", green: "pool-b" },
    metrics: { "max-age": "1m", ...metrics },
  };
  const environment = new Environment("test", "/", environmentSchema.parse({ routes: { web }, ...more }));
  const { requests } = openRoute(environment, "web");
  if (requests === undefined) throw new Error("the route has no source");
  return requests;
}

/** `version requests/bad`, as one look has it. */
const shown = (counts: readonly VersionCounts[]) =>
  counts.map(({ version, counters }) => `${version} ${settledRequests(counters)}/${badRequests(counters)}`);

/** As a step of a canary counts them: what happened between looks. */
function window(first: readonly VersionCounts[]) {
  const reading = (counts: readonly VersionCounts[]): Reading =>
    counts.map((each) => ({ ...each, server: each.version, weight: 1, health: "up", status: "UP" }));
  const counting = new CountingWindow(reading(first));
  return {
    add: (counts: readonly VersionCounts[]) => counting.add(reading(counts)),
    shown: () => ["blue", "green"].map((each) => `${each} ${counting.counts(each).requests}`),
    restarts: () => counting.restarts,
  };
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "counted",
    (error: unknown) => (error as OpsError).code,
  );

describe("counts of a query", () => {
  let cluster: Cluster;
  let client: pg.Client;
  beforeAll(async () => {
    cluster = await startTestCluster();
    client = new pg.Client(cluster.url());
    await client.connect();
    await client.query("CREATE TABLE orders (version text, failed boolean, at timestamptz DEFAULT now())");
  });
  afterAll(async () => {
    await client?.end();
    await cluster?.stop();
  });

  const query =
    "SELECT version, count(*) AS requests, count(*) FILTER (WHERE failed) AS bad, max(at) AS at FROM orders GROUP BY version";
  const sql = (text = query, more: object = {}) =>
    source(
      { source: "sql", query: text, every: "0s", ...more },
      { databases: { main: { url: cluster.url() } } },
    );
  const orders = (version: string, failed: string, rows: number) =>
    client.query(`INSERT INTO orders SELECT '${version}', ${failed} FROM generate_series(1, ${rows}) AS n`);

  test("are those of each version, and none is no verdict", async () => {
    const { read } = sql();
    expect(await codeOf(read())).toBe("E_METRICS_EMPTY");
    await orders("blue", "n <= 3", 40);
    const first = await read();
    expect(shown(first)).toEqual(["blue 40/3", "green 0/0"]);
    const counting = window(first);
    await orders("pool-b", "n <= 1", 10);
    counting.add(await read());
    expect(counting.shown()).toEqual(["blue 0", "green 10"]);

    // What counts anew is seen, and what was lost is not counted.
    await client.query("DELETE FROM orders WHERE version = 'blue'");
    await orders("blue", "false", 5);
    counting.add(await read());
    expect([counting.shown(), counting.restarts()]).toEqual([["blue 0", "green 10"], 1]);
    await orders("blue", "false", 5);
    counting.add(await read());
    expect(counting.shown()).toEqual(["blue 5", "green 10"]);
  });

  test("are asked for as seldom as is said, and tell how old they are", async () => {
    const { read } = sql(query, { every: "1h" });
    const [before] = await read();
    await orders("blue", "false", 5);
    const [after] = await read();

    expect(after?.counters).toEqual(before?.counters);
    expect(after?.age).toBeGreaterThan(0);
  });

  test("that are old, no number, or not there, are missing; a query that is wrong is a mistake", async () => {
    const row = (columns: string) => sql(`SELECT 'blue' AS version, ${columns}`).read();
    expect(await codeOf(row("1 AS requests, 0 AS bad, now() - interval '5 minutes' AS at"))).toBe(
      "E_METRICS_STALE",
    );
    // What would never become old: a time of another zone, and what is none.
    for (const at of ["now() + interval '5 hours'", "extract(epoch FROM now())"]) {
      expect(await codeOf(row(`1 AS requests, 0 AS bad, ${at} AS at`))).toBe("E_METRICS_STALE");
    }
    expect(await codeOf(row("1 AS requests, NULL AS bad"))).toBe("E_METRICS_NAN");
    expect(await codeOf(row("1 AS requests, 'NaN'::float AS bad"))).toBe("E_METRICS_NAN");
    expect(await codeOf(row("1 AS requests"))).toBe("E_METRICS_COLUMNS");
    await expect(row("count(*) AS hits")).rejects.toMatchObject({ exitCode: 2 });
    expect(await codeOf(row("1 AS requests, 0 AS bad UNION ALL SELECT 'blue', 1, 0"))).toBe(
      "E_METRICS_COLUMNS",
    );
    expect(await codeOf(sql("DELETE FROM orders RETURNING version, 1 AS requests, 0 AS bad").read())).toBe(
      "E_SQL",
    );
    await expect(
      sql("SELECT 'blue' AS version, 1 AS requests, pg_sleep(9)::text AS bad", { timeout: "50ms" }).read(),
    ).rejects.toMatchObject({ code: "E_SQL", message: expect.stringContaining("statement timeout") });
  });
});

describe("counts of an endpoint", () => {
  let server: TestHttpServer;
  let answer: unknown;
  beforeAll(async () => {
    server = await startHttpServer((_request, response) =>
      response.end(typeof answer === "string" ? answer : JSON.stringify(answer)),
    );
  });
  afterAll(() => server?.stop());

  const json = (more: object = {}) =>
    source({
      source: "json",
      url: `${server.url}/stats`,
      requests: "$.pools[?@.name == '{{name}}'].requests",
      bad: "$.pools[?@.name == '{{name}}'].errors",
      ...more,
    });
  const pools = (a: number, b: number, errors = 0) => ({
    time: Date.now() / 1000,
    pools: [
      { name: "pool-a", requests: a, errors: 0 },
      { name: "pool-b", requests: b - 1, errors },
      { name: "pool-b", requests: 1, errors: 0 },
    ],
  });

  test("are those of each version, added up, from one document or one for each", async () => {
    answer = pools(40, 10, 2);
    process.env.OPS_TEST_STATS_TOKEN = "a-token-for-the-counts";
    const { read } = json({ at: "$.time", headers: { authorization: "Bearer env:OPS_TEST_STATS_TOKEN" } });

    expect(shown(await read())).toEqual(["blue 40/0", "green 10/2"]);
    expect(server.requests).toMatchObject([
      { method: "GET", url: "/stats", headers: { authorization: "Bearer a-token-for-the-counts" } },
    ]);
    answer = { requests: 7, errors: "1" };
    const each = json({ url: `${server.url}/{{version}}`, requests: "$.requests", bad: "$.errors" });
    expect(shown(await each.read())).toEqual(["blue 7/1", "green 7/1"]);
    expect(server.requests.slice(1).map(({ url }) => url)).toEqual(["/blue", "/green"]);
  });

  test("of a process that was started anew go on", async () => {
    answer = pools(40, 10);
    const { read } = json();
    const counting = window(await read());
    for (const [a, b] of [
      [50, 12],
      [3, 14],
      [9, 15],
    ] as const) {
      answer = pools(a, b);
      counting.add(await read());
    }

    expect([counting.shown(), counting.restarts()]).toEqual([["blue 16", "green 5"], 1]);
  });

  test("that are not there, old or no numbers are missing; a path that is none is a mistake", async () => {
    const codes = [];
    for (const wrong of [
      {},
      "<html>",
      { pools: [{ name: "pool-a", requests: 1 }] },
      { pools: 5 },
      pools(1, Number.NaN),
    ]) {
      answer = wrong;
      codes.push(await codeOf(json().read()));
    }
    expect(codes).toEqual(["E_JSON_VALUE", "E_JSON_SOURCE", "E_JSON_VALUE", "E_JSON_VALUE", "E_JSON_VALUE"]);
    answer = { ...pools(1, 1), time: Date.now() / 1000 - 600 };
    expect(await codeOf(json({ at: "$.time" }).read())).toBe("E_METRICS_STALE");
    expect(await codeOf(json({ at: "$.when" }).read())).toBe("E_METRICS_STALE");
    answer = { ...pools(1, 1), time: Date.now() };
    expect(await codeOf(json({ at: "$.time" }).read())).toBe("E_METRICS_STALE");
    await expect(json({ bad: "$.pools[" }).read()).rejects.toMatchObject({
      code: "E_JSON_PATH",
      exitCode: 2,
    });
  });
});

describe("nginx, whose access log counts", () => {
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await startNginx("upstream");
  });
  afterAll(() => nginx?.[Symbol.asyncDispose]());

  const log = (file: string, more: object) => ({
    metrics: { source: "log", file: join(nginx.directory, file), ...more },
  });
  const combined = () => log("access.log", { format: "combined" });
  const quick = {
    to: "green",
    steps: ["50%"],
    bake: "1s",
    interval: "100ms",
    "min-requests": 10,
    compare: { learn: "0s" },
  };

  test("passes a healthy version, and aborts one whose failures nginx hides from the clients", async () => {
    const load = new Load(nginx.port);
    const context = testContext(nginx.settings(combined()));
    const limits = { "abort-when": { p95: "> 300ms" } };
    const { output, undo } = await perform(canary, context, { ...quick, ...limits });
    await undo();
    nginx.green.mode = "empty";
    const parsed = canary.input.parse(quick);
    const before = await canary.observe(context, parsed);
    const failed = canary.apply(context, parsed, before, new RecordingReport());

    await expect(failed).rejects.toMatchObject({
      code: "E_CANARY_ABORTED",
      message: expect.stringMatching(/^green (answered \d+ of \d+ requests badly|fails)/),
    });
    await load.stop();
    nginx.green.mode = "answer";
    // Each was tried there first, and then at the other one.
    expect(await readFile(join(nginx.directory, "access.log"), "utf8")).toMatch(
      new RegExp(` 200 .*:${nginx.green.port}, 127.0.0.1:${nginx.blue.port}" "502, 200"`),
    );
    expect(output).toMatchObject({ verdict: "pass", steps: [{ errors: 0, p95: expect.any(Number) }] });
  });

  test("passes only when no request of the old version is counted any more, as nobody tells what is under way", async () => {
    await using _load = new Load(nginx.port);
    const context = testContext(nginx.settings(combined()));
    const whole = canary.input.parse({ ...quick, steps: ["100%"], bake: "300ms" });
    const before = await canary.observe(context, whole);
    /** With requests that come to the old version past the split, as over a cookie, for so long after the others have their traffic. */
    const ended = async (ms: number, more: object) => {
      const report = new RecordingReport();
      const strays = { isThere: true };
      const straying = async () => {
        await expect.poll(() => report.last, { timeout: 10_000 }).toMatchObject({ phase: "draining" });
        const start = Date.now();
        while (strays.isThere && Date.now() - start < ms) await request(nginx.port, undefined, "/old");
        strays.isThere = false;
      };
      const strayed = straying();
      const output = canary.output.parse(await canary.apply(context, { ...whole, ...more }, before, report));
      const wasThere = strays.isThere;
      strays.isThere = false;
      await strayed;
      await canary.undo?.(context, whole, before, report);
      return { output, wasThere, rendered: canary.render?.(output) };
    };

    const quiet = await ended(1500, {});
    expect(quiet).toMatchObject({ wasThere: false, output: { drained: "quiet", inFlight: null } });
    expect(quiet.rendered).toContain("get no requests any more; the balancer does not tell");

    const late = await ended(60_000, { drain: 700 });
    expect(late).toMatchObject({ wasThere: true, output: { verdict: "pass", drained: "late" } });
    expect(late.rendered).toContain("when the time to drain was over");
  });

  test("is read the same from JSON lines, and its status says that a log has no past", async () => {
    const fields = { version: "upstream", status: "status", time: "seconds", "upstream-status": "tried" };
    const environments = [combined(), log("access.json", { format: "json", fields })].map((each) =>
      testContext(nginx.settings(each)),
    );
    const sources = environments.map(({ environment }) => openRoute(environment, "web").requests);
    await Promise.all(sources.map((each) => each?.read()));
    await using load = new Load(nginx.port);
    nginx.blue.failEvery = 3;
    await new Promise((resolve) => setTimeout(resolve, 300));
    await load.stop();
    nginx.blue.failEvery = 0;
    await appendFile(join(nginx.directory, "access.log"), "a line of something else\n");

    const [text, json] = await Promise.all(sources.map((each) => each?.read()));
    await Promise.all(sources.map((each) => each?.close?.()));

    expect(text?.map(({ counters }) => counters)).toEqual(json?.map(({ counters }) => counters));
    expect(text?.[0]?.counters.requests).toBeGreaterThan(20);
    expect(text?.[0]?.counters.serverErrors).toBeGreaterThan(5);
    const { output } = await perform(status, environments[0] as (typeof environments)[number], {});
    expect(output).toMatchObject({
      uncounted: "a log counts from the first look on",
      versions: [{ requests: null }, {}],
    });
  });
});
