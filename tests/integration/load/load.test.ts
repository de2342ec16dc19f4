import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checks } from "../../../src/load/checks.ts";
import { operations } from "../../../src/load/operations.ts";
import { LoadResults } from "../../../src/measured-series/load-result.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";

const operation = (name: string) => operations.find((each) => each.name === name) as Operation;
const run = operation("load.run");

describe("load on a real server", () => {
  let server: TestHttpServer;
  let elsewhere: TestHttpServer;
  let folder: string;
  let delay = 5;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ops-load-"));
    process.env.LOAD_TEST_TOKEN = "a-token-nobody-sees";
    elsewhere = await startHttpServer((_, response) => response.end());
    server = await startHttpServer(({ url, socket }, response) => {
      if (url === "/lost") return void socket.destroy();
      if (url === "/half") {
        response.writeHead(200, { "content-length": "100" }).write("half");
        return void setTimeout(() => socket.destroy(), 5);
      }
      if (url === "/hangs") return;
      if (url === "/moved") return void response.writeHead(302, { location: `${elsewhere.url}/` }).end();
      if (url === "/closes") return void response.writeHead(200, { connection: "close" }).end("bye");
      if (url === "/orders") response.statusCode = 201;
      setTimeout(() => response.end("ok"), delay);
    });
  });
  afterAll(async () => {
    await server.stop();
    await elsewhere.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const context = (load: object, more: object = {}) =>
    testContext(
      {
        loads: {
          web: {
            target: server.url,
            users: 4,
            duration: "1600ms",
            "ramp-up": "400ms",
            interval: "100ms",
            ...load,
          },
        },
        ...more,
      },
      { directory: folder, checks },
    );
  const results = () => new LoadResults(join(folder, ".ops"), "test");
  type Output = {
    verdict: string;
    requests: number;
    bad: number;
    failures: object;
    throughput: number;
    latency: { p50: number; p95: number; max: number };
    steps: { name: string; requests: number; bad: number }[];
    thresholds: { status: string }[];
    file: string;
  };

  test("a scenario is kept to: its requests in their order, its thoughts, its headers and its statuses", async () => {
    server.requests.length = 0;
    const scenario = [
      { url: "/", think: "50ms" },
      { url: "/closes" },
      {
        method: "POST",
        url: "/orders",
        headers: { authorization: "Bearer env:LOAD_TEST_TOKEN" },
        body: "{}",
        expect: 201,
      },
    ];
    const thresholds = ["p50<2s", "error-rate<50%", "throughput>1"];
    const { output, report, changes } = await perform(run, context({ scenario, thresholds }), {
      version: "1.4.0",
    });
    const found = output as Output;

    expect(changes).toMatchObject([{ target: `load:${new URL(server.url).host}`, action: "run" }]);
    expect(found).toMatchObject({ verdict: "pass", bad: 0 });
    const [first, second, third] = found.steps.map(({ requests }) => requests);
    expect(Math.abs((first ?? 0) - (third ?? 0))).toBeLessThanOrEqual(4);
    expect(second).toBeGreaterThan(0);
    // Four users who think for 50 ms in each round cannot make more than 80 rounds a second.
    expect(server.requests.filter(({ url }) => url === "/").length).toBeLessThan(4 * 1.6 * 20 + 8);
    expect(server.requests.find(({ url }) => url === "/orders")).toMatchObject({
      method: "POST",
      body: "{}",
      headers: { authorization: "Bearer a-token-nobody-sees" },
    });
    const kept = await readFile(found.file, "utf8");
    expect(kept + JSON.stringify(report)).not.toContain("a-token-nobody-sees");
    expect(JSON.parse(kept)).toMatchObject({
      format: "ops-load/1",
      version: "1.4.0",
      actor: "test@localhost",
      verdict: "pass",
      figures: { intervals: expect.arrayContaining([expect.objectContaining({ at: 0, users: 1 })]) },
    });
    expect(report.checkpoints.at(-1)).toMatchObject({
      samples: expect.any(Array),
      result: expect.any(String),
    });
    // A resumed run has it already.
    server.requests.length = 0;
    await perform(
      run,
      context({ scenario, thresholds }),
      { version: "1.4.0" },
      new RecordingReport(report.last),
    );
    expect(server.requests).toEqual([]);
  });

  test("a slower server misses the same threshold, and the check says so until it is mended", async () => {
    const settings = { thresholds: ["p50<60ms", "error-rate<20%"], users: 8 };
    const gates = {
      ready: { checks: [{ id: "load", kind: "load", with: { load: "web", "max-age": "1h" } }] },
    };
    const gate = async () => (await measureGate(context(settings, { gates }), "ready", 5000)).checks[0];
    delay = 100;
    const slow = (await perform(run, context(settings), {})).output as Output;
    const afterSlow = await gate();
    delay = 5;
    const fast = (await perform(run, context(settings), {})).output as Output;

    // What the server adds is what is measured.
    expect(slow.latency.p50).toBeGreaterThanOrEqual(99);
    expect(slow.thresholds[0]?.status).toBe("fail");
    expect(run.failure?.(slow)).toMatchObject({ code: "E_LOAD_THRESHOLD", exitCode: 3 });
    expect(afterSlow).toMatchObject({ status: "fail", reason: expect.stringContaining("p50<60ms: p50 1") });
    expect(fast.thresholds[0]?.status).toBe("pass");
    expect(await gate()).toMatchObject({ status: "pass", evidence: { verdict: "pass" } });
    // What was made easier on the way proves nothing of what is configured.
    const { thresholds, ...held } = settings;
    for (const [harder, reason] of [
      [{ ...held, users: 9, thresholds }, "by 8 users, not 9"],
      [{ ...settings, duration: "1h" }, "for 1.6s, not 1h 00m"],
      [{ ...settings, thresholds: [...thresholds, "p99<2s"] }, "without the threshold p99<2s"],
      [{ ...settings, target: `${server.url}/other` }, `not ${server.url}/other`],
      [{ ...settings, "ramp-up": 0 }, "judged for 1.2s after its ramp-up, not 1.6s"],
      [{ ...settings, engine: "k6" }, "by autocannon, not k6"],
      [{ ...settings, scenario: [{ url: "/orders" }] }, "with another scenario"],
      [{ ...settings, timeout: "2s" }, "with another scenario or timeout"],
    ] as const) {
      const [found] = (await measureGate(context(harder, { gates }), "ready", 5000)).checks;
      expect(found).toMatchObject({ status: "unknown", reason: expect.stringContaining(reason) });
    }
    const other = {
      ready: { checks: [{ id: "load", kind: "load", with: { load: "web", version: "2.0.0" } }] },
    };
    expect((await measureGate(context(settings, { gates: other }), "ready", 5000)).checks[0]).toMatchObject({
      status: "unknown",
      counts: "fail",
      reason: "the newest load was of no named version, not 2.0.0",
    });
  });

  test("what gets no answer counts as bad: lost and half connections, hanging servers; redirects lead nowhere", async () => {
    const scenario = ["/lost", "/half", "/hangs", "/moved"].map((url) => ({ url }));
    const { output } = await perform(
      run,
      context({ scenario, timeout: "1s", duration: "3s", thresholds: ["p95<500ms"] }),
      {},
    );
    const found = output as Output;

    expect(found.steps.map(({ requests, bad }) => requests > 0 && bad === requests)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(found.failures).toMatchObject({
      status: 0,
      timeout: expect.any(Number),
      connection: expect.any(Number),
    });
    expect(found.latency.max).toBeCloseTo(1000, -1);
    expect(found.verdict).toBe("unknown");
    expect(elsewhere.requests).toEqual([]);
  });

  test("a first Ctrl-C ends it with what was measured, which passes nothing", async () => {
    const here = context({ duration: "1h", interval: "1s", "ramp-up": 0, thresholds: ["p95<1s"] });
    const report = new RecordingReport();
    report.progress = () => here.requestStop();

    await expect(perform(run, here, {}, report)).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    const newest = await results().newest("web");
    expect(newest).toMatchObject({ interrupted: true, verdict: "unknown" });
    expect(newest?.figures.requests).toBeGreaterThan(0);
    expect(report.lines.join("\n")).toContain("the load was ended early");
  });

  test("a server that is not the environment's own gets no request", async () => {
    server.requests.length = 0;
    const forbidden = context({}, { load: { allow: ["https://staging.example.com"] } });

    await expect(perform(run, forbidden, {})).rejects.toMatchObject({
      code: "E_LOAD_FORBIDDEN",
      exitCode: 2,
    });
    await expect(
      perform(run, context({ scenario: [{ url: `${elsewhere.url}/` }] }), {}),
    ).rejects.toMatchObject({
      code: "E_LOAD_FORBIDDEN",
    });
    expect([...server.requests, ...elsewhere.requests]).toEqual([]);
  });

  test("a server with a certificate that nobody vouches for gets no request", async () => {
    const [key, cert] = ["key.pem", "cert.pem"].map((each) => join(folder, each)) as [string, string];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-keyout",
        key,
        "-out",
        cert,
      ],
      { stdio: "ignore" },
    );
    let asked = 0;
    const secure = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
      asked += 1;
      response.end();
    });
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    const target = `https://localhost:${(secure.address() as AddressInfo).port}`;
    try {
      await expect(perform(run, context({ target }), {})).rejects.toMatchObject({
        code: "E_LOAD_TARGET",
        message: expect.stringContaining("self-signed certificate"),
      });
      expect(asked).toBe(0);
    } finally {
      secure.close();
    }
  });

  test("its results are listed, shown and bounded", async () => {
    const { output } = await perform(operation("load.list"), context({}), {});
    const newest = await results().newest("web");

    expect(output).toMatchObject({ loads: [{ load: "web", newest: { id: newest?.id } }] });
    for (let each = 0; each < 55; each += 1)
      await results().add({
        ...(newest as NonNullable<typeof newest>),
        id: `2020-${String(each).padStart(2, "0")}`,
      });
    expect(await readdir(join(folder, ".ops/loads/test/web"))).toHaveLength(50);
    expect((await perform(operation("load.show"), context({}), { load: "web" })).output).toMatchObject({
      id: newest?.id,
    });
  });
});
