import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { digest } from "../../../src/core/digest.ts";
import { InterruptedError, OpsError } from "../../../src/core/errors.ts";
import { checks } from "../../../src/gate/checks.ts";
import { operations } from "../../../src/gate/operations.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { type Check, defineCheck } from "../../../src/run/check.ts";
import { renderGate } from "../../../src/run/gate-verdict.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { perform, testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { startTestCluster } from "../../support/postgres.ts";

let cluster: Cluster;
let server: TestHttpServer;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-gate-"));
  [cluster, server] = await Promise.all([
    startTestCluster(),
    startHttpServer((request, response) => {
      const { pathname } = new URL(request.url ?? "", "http://x");
      if (pathname === "/slow") setTimeout(() => response.end("late"), 5000).unref();
      else if (pathname === "/cut") response.socket?.destroy();
      else response.writeHead(Number(pathname.slice(1))).end("all is well");
    }),
  ]);
});

afterAll(async () => {
  await Promise.all([cluster?.stop(), server?.stop()]);
  await rm(directory, { recursive: true, force: true });
});

const [gateCheck] = operations;

interface Outcome {
  readonly results: CheckResult[];
  readonly error: OpsError | undefined;
  readonly text: string;
}

/** Runs a gate of these checks, whatever its verdict. */
async function gate(
  configured: object[],
  options: { unknown?: string; timeout?: string; kinds?: readonly Check[] } = {},
): Promise<Outcome> {
  const context = testContext(
    {
      databases: { main: { url: cluster.url() } },
      gates: { g: { checks: configured, ...(options.unknown ? { unknown: options.unknown } : {}) } },
    },
    { checks: options.kinds ?? checks, directory },
  );
  if (gateCheck === undefined) throw new Error("there is no gate.check");
  const input = { gate: "g", ...(options.timeout ? { timeout: options.timeout } : {}) };
  try {
    const { output } = await perform(gateCheck, context, input);
    const failure = gateCheck.failure?.(output);
    if (failure !== undefined) throw failure;
    const result = output as Parameters<typeof renderGate>[0];
    return { results: result.checks, error: undefined, text: renderGate(result) };
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "E_NO_GO") throw error;
    const result = error.details as Parameters<typeof renderGate>[0];
    return { results: result.checks, error, text: renderGate(result) };
  }
}

async function single(configured: object): Promise<CheckResult> {
  const { results } = await gate([{ id: "c", ...configured }]);
  if (results[0] === undefined) throw new Error("the check has no result");
  return results[0];
}

describe("sql", () => {
  const sql = (query: string, settings: object = {}) => single({ kind: "sql", with: { query }, ...settings });

  test.each([
    ["SELECT true", {}, "pass", "the query returned true"],
    ["SELECT false", {}, "fail", "the query returned false"],
    ["SELECT 3", { fail: "> 5", warn: "> 2" }, "warn", "3, limit > 2"],
    ["SELECT 3::bigint", { fail: "> 2" }, "fail", "3, limit > 2"],
    ["SELECT 2.5::numeric", { fail: "> 5%" }, "pass", "2.5, within limit > 5%"],
    ["SELECT interval '12 s'", { fail: "> 10s" }, "fail", "12s, limit > 10s"],
    ["SELECT interval '1 day 2 hours'", { fail: "> 2d" }, "pass", "1d 2h, within limit > 2d"],
    ["SHOW server_version_num", {}, "unknown", /^the query returned the text "\d+": return a boolean$/],
    [
      "SELECT 12",
      { fail: "> 10s" },
      "unknown",
      "the limit is a duration and the query returned the number 12: return an interval",
    ],
    [
      "SELECT interval '12 s'",
      { fail: "> 10" },
      "unknown",
      'the query returned an interval (12s), the limit is no duration: write "> 10s"',
    ],
    ["SELECT 7", {}, "unknown", 'the query returned 7 and no limit says what is good: add "fail:"'],
    ["SELECT true", { fail: "> 1" }, "unknown", "a limit needs a number, the query returned true"],
    ["SELECT NULL::int", { fail: "> 1" }, "unknown", "the query returned NULL"],
    ["SELECT 'NaN'::float8", { fail: "> 1" }, "unknown", 'a limit needs a number, the query returned "NaN"'],
    ["SELECT 1 WHERE false", {}, "unknown", "The query returned no rows"],
    [
      "SELECT 1 FROM nowhere",
      {},
      "unknown",
      'Database main refused a statement: relation "nowhere" does not exist',
    ],
  ])("%s with %o is %s", async (query, settings, status, reason) => {
    const result = await sql(query, settings);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });

  test("cannot write", async () => {
    const result = await sql("SELECT 1 INTO written");

    expect(result).toMatchObject({
      status: "unknown",
      reason: "Database main refused a statement: cannot execute SELECT INTO in a read-only transaction",
    });
  });

  test("cannot leave its transaction by a second statement", async () => {
    const result = await sql("SELECT 1; CREATE TABLE written ()");

    expect(result).toMatchObject({
      status: "unknown",
      reason: "Database main refused a statement: cannot insert multiple commands into a prepared statement",
    });
  });

  test.each([
    ["COPY (SELECT 1) TO PROGRAM", "COPY"],
    ["-- SELECT\n/* /* SELECT */ SELECT 1 */ copy (SELECT 1) TO PROGRAM", "COPY"],
    ["; COPY (SELECT 1) TO PROGRAM", ""],
    ["DO $$ BEGIN NULL; END $$; --", "DO"],
  ])(
    "%s… starts nothing, though the role is a superuser and a READ ONLY transaction would let it",
    async (query, first) => {
      const file = join(tmpdir(), `ops-copied-${randomUUID()}`);
      const result = await sql(`${query} 'cat > ${file}'`);

      expect(result).toMatchObject({
        status: "unknown",
        reason: expect.stringContaining(first === "" ? "this one does not" : `begins with ${first}`),
      });
      expect(existsSync(file)).toBe(false);
    },
  );

  test.each(["SHOW server_version", "/* a */ (SELECT 'x')", "explain SELECT 1", "VALUES ('x')"])(
    "%s is asked",
    async (query) => {
      expect(await sql(query, { fail: "> 1" })).toMatchObject({
        reason: expect.stringContaining("a limit needs a number"),
      });
    },
  );

  test("is stopped by the server after its timeout", async () => {
    const result = await single({ kind: "sql", with: { query: "SELECT pg_sleep(30)", timeout: "200ms" } });

    expect(result.status).toBe("unknown");
    expect(result.reason).toContain("canceling statement due to statement timeout");
    expect(result.durationMs).toBeLessThan(5000);
  });
});

describe("http", () => {
  const http = (path: string, settings: object = {}, limits: object = {}) =>
    single({ kind: "http", with: { url: `${server.url}${path}`, ...settings }, ...limits });

  test.each([
    ["/200", {}, {}, "pass", /^HTTP 200 in \d+ms$/],
    ["/302", {}, {}, "pass", /^HTTP 302/],
    ["/503", {}, {}, "fail", /^status 503, expected 200-399$/],
    ["/503", { status: 503 }, {}, "pass", /^HTTP 503/],
    ["/200", { status: [201, 204] }, {}, "fail", /^status 200, expected 201 or 204$/],
    ["/200", { "body-contains": "well" }, {}, "pass", /^HTTP 200/],
    ["/200", { "body-contains": "ready" }, {}, "fail", /^HTTP 200, the body does not contain "ready"$/],
    ["/200", {}, { fail: ">= 0ms" }, "fail", /^HTTP 200 in \d+ms, limit >= 0ms$/],
    ["/200", {}, { warn: ">= 0ms", fail: "> 1h" }, "warn", /limit >= 0ms$/],
    ["/slow", { timeout: "100ms" }, {}, "fail", /was not answered within 100ms$/],
    ["/cut", {}, {}, "fail", /the connection broke before the answer was complete$/],
  ])("%s with %o and %o is %s", async (path, settings, limits, status, reason) => {
    const result = await http(path, settings, limits);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });

  test("a refused connection fails: the service was asked and is not well", async () => {
    const gone = await startHttpServer(() => undefined);
    await gone.stop();

    const result = await single({ kind: "http", with: { url: `${gone.url}/health` } });

    expect(result).toMatchObject({
      status: "fail",
      reason: `GET ${gone.url}/health: the connection was refused`,
    });
  });

  test("a name that does not resolve leaves it unknown", async () => {
    const result = await single({ kind: "http", with: { url: "http://nowhere.invalid/health" } });

    expect(result.status).toBe("unknown");
    expect(result.reason).toContain("the host name cannot be resolved");
  });

  test("neither the query nor the secret in a header is shown", async () => {
    process.env.GATE_TEST_TOKEN = "s3cr3t-t0ken";
    const result = await http("/503?token=hunter22", {
      headers: { authorization: "Bearer env:GATE_TEST_TOKEN" },
    });

    expect(server.requests.at(-1)?.headers.authorization).toBe("Bearer s3cr3t-t0ken");
    expect(JSON.stringify(result)).not.toMatch(/hunter22|s3cr3t/);
  });
});

describe("command", () => {
  const sh = (script: string, limits: object = {}, settings: object = {}) =>
    single({ kind: "command", with: { command: ["sh", "-c", script], ...settings }, ...limits });

  test.each([
    ["exit 0", {}, "pass", "sh ended with exit code 0"],
    ["echo fine", {}, "pass", "sh ended with exit code 0: fine"],
    ["echo out; echo no disk >&2; exit 3", {}, "fail", "sh ended with exit code 3: no disk"],
    [
      "printf 'no\\033[2J\\r\\302\\233x' >&2; exit 3",
      {},
      "fail",
      "sh ended with exit code 3: no\\u{1b}[2J\\u{d}\\u{9b}x",
    ],
    ["echo checking; echo 7", { fail: "> 5" }, "fail", "7, limit > 5"],
    ["echo 7%", { fail: "> 50%" }, "pass", "7%, within limit > 50%"],
    ["echo 7; exit 1", { fail: "> 50" }, "fail", "sh ended with exit code 1: 7"],
    ["echo many", { fail: "> 50" }, "unknown", 'the last line of output is no number: "many"'],
    [
      "echo 12",
      { fail: "> 10s" },
      "unknown",
      'the output 12 and its limit have different units: print a duration: "12s"',
    ],
  ])("%s with %o is %s", async (script, limits, status, reason) => {
    const result = await sh(script, limits);

    expect(result.reason).toBe(reason);
    expect(result.status).toBe(status);
  });

  test("a program that does not end in time is unknown", async () => {
    const result = await sh("exec sleep 30", {}, { timeout: "100ms" });

    expect(result).toMatchObject({ status: "unknown", reason: "sh did not end within 100ms" });
  });

  test("a program that is not there is unknown", async () => {
    const result = await single({ kind: "command", with: { command: ["no-such-program"] } });

    expect(result).toMatchObject({
      status: "unknown",
      reason: "The program no-such-program is not installed or not on PATH",
    });
  });

  test("a folder that is not there is unknown", async () => {
    const result = await sh("true", {}, { cwd: "/no/such/folder" });

    expect(result.reason).toBe("The folder /no/such/folder that sh should run in does not exist");
  });
});

describe("the verdict", () => {
  const good = { id: "good", kind: "sql", with: { query: "SELECT true" } };
  const bad = {
    id: "bad",
    kind: "sql",
    with: { query: "SELECT 9" },
    fail: "> 5",
    why: "writes would stall",
    remedy: "wait",
  };
  const blind = { id: "blind", kind: "sql", with: { query: "SELECT NULL" } };

  test("is go where everything passes, one line for each check", async () => {
    const { text } = await gate([good, { ...bad, fail: undefined, warn: "> 5" }]);

    expect(text).toBe(
      [
        "✓ good  the query returned true",
        "! bad   9, limit > 5",
        "        why: writes would stall",
        "        do:  wait",
        "Gate g: go",
      ].join("\n"),
    );
  });

  test("is no-go with exit code 3, the numbers and the whole evidence where a check fails", async () => {
    const { error, text } = await gate([good, bad]);

    expect(error).toMatchObject({
      code: "E_NO_GO",
      exitCode: 3,
      retryable: false,
      message: "Gate g says no-go: bad (9, limit > 5)",
      hint: "mend what fails, then measure again with: ops gate check g",
    });
    expect(error?.details).toMatchObject({
      verdict: "no-go",
      checks: [
        { id: "good", status: "pass" },
        { id: "bad", status: "fail", value: 9, evidence: { type: "number" } },
      ],
    });
    expect(text).toContain("✗ bad   9, limit > 5\n        why: writes would stall");
  });

  test("counts the unknown as failed", async () => {
    const { error } = await gate([blind]);

    expect(error?.message).toBe("Gate g says no-go: blind (unknown: the query returned NULL)");
  });

  test.each(["warn", "pass"])(
    "counts the unknown as %s where the gate says so, and shows it",
    async (unknown) => {
      const { text } = await gate([blind], { unknown });

      expect(text).toBe(`? blind  the query returned NULL (unknown, counts as ${unknown})\nGate g: go`);
    },
  );

  test("is go where a check that is not required fails or is unknown, and the line says so", async () => {
    const optional = { required: false };
    const { results, text } = await gate([
      { ...blind, ...optional },
      { ...bad, ...optional, why: undefined, remedy: undefined },
    ]);

    expect(results.map(({ status, counts }) => ({ status, counts }))).toEqual([
      { status: "unknown", counts: "warn" },
      { status: "fail", counts: "warn" },
    ]);
    expect(text).toBe(
      [
        "? blind  the query returned NULL (not required, unknown, counts as warn)",
        "✗ bad    9, limit > 5 (not required, counts as warn)",
        "Gate g: go",
      ].join("\n"),
    );
  });

  test("keeps when it was measured, the limits, and the digest of what was read", async () => {
    const script = {
      id: "c",
      kind: "command",
      with: { command: ["printf", "\\377 checked\n7\n"] },
      fail: "> 9",
    };
    const { results } = await gate([script]);

    expect(results[0]).toMatchObject({
      limits: { fail: "> 9" },
      rawDigest: digest(Buffer.from("\xff checked\n7\n", "latin1")),
    });
    const { startedAt = "", endedAt = "" } = results[0] ?? {};
    expect(Date.parse(endedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt));
  });

  test("ends a measurement after the check's own timeout", async () => {
    const { error } = await gate([
      { id: "s", kind: "command", with: { command: ["sleep", "20"] }, timeout: "150ms" },
    ]);

    expect(error?.message).toBe("Gate g says no-go: s (unknown: the measurement did not end within 150ms)");
  });

  test("measures in parallel", async () => {
    const slow = (id: string) => ({ id, kind: "command", with: { command: ["sleep", "1"] } });
    const started = performance.now();

    await gate([slow("a"), slow("b"), slow("c"), slow("d")]);

    expect(performance.now() - started).toBeLessThan(3000);
  });

  test("does not wait for a measurement that hears nothing", async () => {
    const deaf = defineCheck({
      kind: "deaf",
      summary: "never answers",
      input: z.strictObject({}),
      measure: () => new Promise(() => undefined),
      judge: () => ({ status: "pass", reason: "" }),
    });

    const { error } = await gate([{ id: "d", kind: "deaf" }], { kinds: [deaf], timeout: "100ms" });

    expect(error?.message).toBe("Gate g says no-go: d (unknown: the measurement did not end within 100ms)");
  });

  test("is not reached where the run is stopped: it ends interrupted, not no-go", async () => {
    const context = testContext(
      { gates: { g: { checks: [{ id: "s", kind: "command", with: { command: ["sleep", "20"] } }] } } },
      { checks, directory },
    );
    if (gateCheck === undefined) throw new Error("there is no gate.check");
    const running = perform(gateCheck, context, { gate: "g" });
    const ended = expect(running).rejects.toBeInstanceOf(InterruptedError);
    await delay(100);

    context.requestStop();

    await ended;
  });
});
