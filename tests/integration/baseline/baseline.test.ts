import { mkdtempSync, rmSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { checks } from "../../../src/baseline/checks.ts";
import type { Comparison } from "../../../src/baseline/comparison.ts";
import { operations } from "../../../src/baseline/operations.ts";
import { operations as loadOperations } from "../../../src/load/operations.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { perform, testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { TestPrometheus } from "../../support/prometheus.ts";

const operation = (name: string) =>
  [...operations, ...loadOperations].find((each) => each.name === name) as Operation;

describe("a baseline of real services", () => {
  let server: TestHttpServer;
  let cluster: Cluster;
  const prometheus = new TestPrometheus();
  let folder: string;
  let [delay, queue, tick] = [5, 100, 0];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ops-baseline-"));
    server = await startHttpServer(({ url }, response) => {
      tick += 1;
      if (url === "/metrics")
        return void response.end(`shop_memory_bytes ${queue * 1e6 + (tick % 3) * 1000}\n`);
      if (url === "/stats") return void response.end(JSON.stringify({ queue: queue + (tick % 3) }));
      // Of its own accord it varies far more than a busy machine makes it drift.
      setTimeout(() => response.end("ok"), delay + 50 * Math.random());
    });
    cluster = await startTestCluster();
    await prometheus.start({ targets: [new URL(server.url).host] });
    const scraped = async () => {
      const answer = await fetch(`${prometheus.url}/api/v1/query?query=shop_memory_bytes`);
      return ((await answer.json()) as { data: { result: unknown[] } }).data.result.length === 1;
    };
    await vi.waitUntil(scraped, { timeout: 20_000 });
  });
  afterAll(async () => {
    await server.stop();
    await prometheus[Symbol.asyncDispose]();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const context = (more: object = {}) =>
    testContext(
      {
        databases: { main: { url: cluster.url("postgres") } },
        loads: {
          web: { target: server.url, users: 4, duration: "3600ms", "ramp-up": "400ms", interval: "100ms" },
        },
        baselines: {
          web: { load: "web", limits: ["p50 increase < 30ms", "error-rate +10%"] },
          service: {
            measures: {
              memory: {
                source: "prometheus",
                url: prometheus.url,
                query: "shop_memory_bytes",
                unit: "bytes",
              },
              queue: { source: "json", url: `${server.url}/stats`, path: "$.queue" },
              rows: { source: "sql", query: "SELECT count(*) FROM pg_class" },
              "start-up": { source: "command", command: ["true"] },
            },
            samples: 12,
            interval: "20ms",
            limits: ["queue increase < 5%", "start-up < 5s", "rows increase < 3"],
          },
        },
        ...more,
      },
      { directory: folder, checks },
    );
  const compare = async (input: object) =>
    (await perform(operation("baseline.compare"), context(), input)).output as Comparison;

  test("of a load: what the server became slower by is found, and nothing where it did not", async () => {
    const load = () => perform(operation("load.run"), context(), {});
    await load();
    const recorded = await perform(operation("baseline.record"), context(), { baseline: "web" });
    // What it was recorded from says nothing of a change.
    expect((await compare({ baseline: "web" })).limits[0]).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("ended before the baseline was recorded"),
    });
    delay = 5;
    await load();
    const same = await compare({ baseline: "web" });
    delay = 100;
    await load();
    let slower = await compare({ baseline: "web" });
    // A machine that is busy with something else drifts: then it is measured again, as a person would.
    for (let again = 0; again < 2 && slower.limits[0]?.status === "unknown"; again += 1) {
      delay = 5;
      await load();
      await perform(operation("baseline.record"), context(), { baseline: "web", replace: true });
      delay = 100;
      await load();
      slower = await compare({ baseline: "web" });
    }
    delay = 5;

    expect(recorded.changes).toMatchObject([{ target: "baseline:web", action: "create" }]);
    expect(same.limits.map(({ status }) => status)).not.toContain("fail");
    expect(slower).toMatchObject({
      verdict: "fail",
      limits: [{ status: "fail" }, { status: expect.stringMatching(/pass|unknown/) }],
    });
    // 95 ms more, as the server has it; on a busy machine somewhat more or less.
    expect(slower.limits[0]?.interval?.estimate).toBeGreaterThan(50);
    expect(slower.limits[0]?.cliffsDelta).toBeGreaterThan(0.9);
    expect(operation("baseline.compare").failure?.(slower)).toMatchObject({
      code: "E_BASELINE_WORSE",
      exitCode: 3,
    });
    const gates = { ready: { checks: [{ id: "no-slower", kind: "baseline", with: { baseline: "web" } }] } };
    expect((await measureGate(context({ gates }), "ready", 20_000)).checks[0]).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("p50 increase < 30ms: +"),
      evidence: { recordedBy: "test@localhost" },
    });
    const stale = { id: "stale", kind: "baseline", with: { baseline: "web", "max-age": "1ms" } };
    expect(
      (await measureGate(context({ gates: { ready: { checks: [stale] } } }), "ready", 20_000)).checks[0],
    ).toMatchObject({ status: "unknown", reason: expect.stringMatching(/is .* old, 1ms is allowed/) });
    // Another number of users is another experiment.
    await perform(operation("load.run"), context(), { users: 2 });
    const other = await compare({ baseline: "web" });
    expect(other.limits[0]).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("users was 4, is 2"),
    });
  });

  test("of Prometheus, JSON, SQL and a command: each changes as it does", async () => {
    queue = 100;
    await perform(operation("baseline.record"), context(), { baseline: "service", version: "1.0.0" });
    const file = join(folder, "baselines/service.json");
    const kept = JSON.parse(await readFile(file, "utf8"));
    expect(kept).toMatchObject({
      format: "ops-baseline/1",
      version: "1.0.0",
      measures: { memory: { unit: "bytes" }, rows: { unit: "number" }, "start-up": { unit: "ms" } },
    });
    expect(kept.measures.queue.values).toHaveLength(12);

    queue = 120;
    const found = await compare({ baseline: "service" });
    expect(found.limits).toMatchObject([
      { status: "fail", limit: "queue increase < 5%" },
      { status: "pass", limit: "start-up < 5s" },
      { status: "pass", limit: "rows increase < 3" },
    ]);
    expect(found.limits[0]?.interval?.estimate).toBeCloseTo(20, 0);

    await expect(
      perform(operation("baseline.record"), context(), { baseline: "service" }),
    ).rejects.toMatchObject({
      code: "E_BASELINE_EXISTS",
      exitCode: 2,
    });
    const replaced = await perform(operation("baseline.record"), context(), {
      baseline: "service",
      replace: true,
    });
    expect(replaced.changes).toMatchObject([{ action: "update" }]);
    expect((await compare({ baseline: "service" })).verdict).toBe("pass");

    // What asks something else, or is asked elsewhere, is no change of what was recorded.
    const service = (queue: object) => ({
      baselines: {
        service: {
          measures: {
            queue: { source: "json", url: `${server.url}/stats`, path: "$.queue", ...queue },
            "start-up": { source: "command", command: ["true"] },
          },
          samples: 12,
          interval: "20ms",
          limits: ["queue increase < 50%", "start-up increase < 5s", "start-up < 5s"],
        },
      },
    });
    const other = async (queue: object, more: object = {}) => {
      const elsewhere = testContext(service(queue), { directory: folder, checks, ...more });
      const { output } = await perform(operation("baseline.compare"), elsewhere, { baseline: "service" });
      return (output as Comparison).limits;
    };
    expect(await other({})).toMatchObject([{ status: "pass" }, { status: "pass" }, { status: "pass" }]);
    expect(await other({ path: "$['queue']" })).toMatchObject([
      { status: "unknown", reason: expect.stringContaining("queue asks something else") },
      { status: "pass" },
      { status: "pass" },
    ]);
    expect(await other({}, { environment: "staging" })).toMatchObject([
      { status: "unknown", reason: "the baseline is of the environment test, not of staging" },
      { status: "unknown" },
      { status: "pass" },
    ]);
    expect(await readdir(join(folder, "baselines"))).toEqual(["service.json", "web.json"]);
  });

  test("is shown, listed, removed and put back", async () => {
    const shown = await perform(operation("baseline.show"), context(), { baseline: "service" });
    const before = await readFile(join(folder, "baselines/service.json"), "utf8");
    const removed = await perform(operation("baseline.remove"), context(), { baseline: "service" });
    const { output } = await perform(operation("baseline.list"), context(), {});

    expect(shown.output).toMatchObject({
      measures: expect.arrayContaining([expect.objectContaining({ name: "queue", values: 12 })]),
    });
    expect(output).toMatchObject({
      baselines: [{ baseline: "service", recordedAt: null }, { baseline: "web" }],
    });
    expect(await removed.undo()).toMatchObject({ undone: true });
    expect(await readFile(join(folder, "baselines/service.json"), "utf8")).toBe(before);
    const fresh = await perform(operation("baseline.record"), context(), {
      baseline: "again",
      from: "service",
    });
    expect(await fresh.undo()).toMatchObject({ undone: true, note: "removed the baseline again" });
  });

  test.each([
    [
      "one that was never recorded",
      { baseline: "never", from: "service", limit: ["queue increase < 5%"] },
      "E_BASELINE",
    ],
    ["one that nothing measures", { baseline: "never", limit: ["queue increase < 5%"] }, "E_BASELINE"],
    ["no limits", { baseline: "again", from: "service" }, "E_LIMIT"],
    ["a limit of something else", { baseline: "service", limit: ["p95 increase < 5ms"] }, "E_LIMIT"],
  ])("%s is refused", async (_, input, code) => {
    await expect(compare(input)).rejects.toMatchObject({ code, exitCode: 2 });
  });

  test("a file that is none, and a measure that gives no number, are told by name", async () => {
    const file = join(folder, "baselines/web.json");
    await writeFile(file, (await readFile(file, "utf8")).slice(0, 500));
    const broken = { baselines: { bad: { measures: { gone: { source: "sql", query: "SELECT 'x'" } } } } };

    await expect(compare({ baseline: "web" })).rejects.toMatchObject({ code: "E_BASELINE", exitCode: 2 });
    await expect(
      perform(operation("baseline.record"), context(broken), { baseline: "bad" }),
    ).rejects.toMatchObject({
      code: "E_MEASURE",
      message: "The measure gone could not be taken",
      cause: expect.objectContaining({ message: "the first column of the first row is no number" }),
    });
  });
});
