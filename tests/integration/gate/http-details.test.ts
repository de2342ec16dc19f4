import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { checks } from "../../../src/gate/checks.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { measuredCheck } from "../../support/measured-check.ts";

const stats = {
  status: "ok",
  ready: true,
  queue: { depth: 12, oldest: null },
  workers: [
    { up: true, jobs: 3 },
    { up: false, jobs: 4 },
  ],
};
const body = `\uFEFF${JSON.stringify(stats)}`;

const long = Buffer.alloc(2 ** 20 + 1, "a");

let server: TestHttpServer;
/** Bad answers that are still to come. */
let bad = 0;
/** Milliseconds before each answer. */
let delays: number[] = [];

beforeAll(async () => {
  server = await startHttpServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://x");
    if (pathname === "/moved") response.writeHead(302, { location: "/login?token=hunter22" }).end();
    else if (pathname === "/long") response.end(long);
    else if (pathname === "/text") response.end("all is well");
    else if (bad > 0) {
      bad -= 1;
      response.writeHead(503).end();
    } else
      setTimeout(() => response.end(pathname === "/raw" ? body : JSON.stringify(stats)), delays.shift() ?? 0);
  });
});
afterAll(() => server?.stop());
beforeEach(() => {
  server.requests.length = 0;
  [bad, delays] = [0, []];
});

function http(path: string, settings: object = {}, limits: object = {}): Promise<CheckResult> {
  const input = { url: `${server.url}${path}`, pause: "1ms", ...settings };
  return measuredCheck(testContext({}), checks, { kind: "http", with: input, ...limits });
}

test.each([
  [{ "json-path": "$.status", equals: "ok" }, {}, "pass", /^HTTP 200 in \d+ms$/],
  [
    { "json-path": "$.status", equals: "ok" },
    { fail: ">= 0ms" },
    "fail",
    /^HTTP 200 in \d+ms, limit >= 0ms$/,
  ],
  [{ "json-path": "$.status", equals: "up" }, {}, "fail", 'HTTP 200, $.status is "ok", expected "up"'],
  [{ "json-path": "$.queue.oldest", equals: null }, {}, "pass", /^HTTP 200/],
  [
    { "json-path": "$.workers[*].up", equals: true },
    {},
    "fail",
    "HTTP 200, $.workers[*].up is false, expected true",
  ],
  [{ "json-path": "$.absent", equals: "ok" }, {}, "fail", 'HTTP 200, $.absent finds nothing, expected "ok"'],
  [{ "json-path": "$.ready" }, {}, "pass", "$.ready is true"],
  [{ "json-path": "$.workers[*].up" }, {}, "fail", "$.workers[*].up is false"],
  [{ "json-path": "$.queue.depth" }, { fail: "> 10" }, "fail", "$.queue.depth is 12, limit > 10"],
  [
    { "json-path": "$.workers[*].jobs" },
    { fail: "> 10", warn: "> 5" },
    "warn",
    "$.workers[*].jobs is 7, limit > 5",
  ],
  [{ "json-path": "$.queue.depth" }, {}, "unknown", /no limit says what is good/],
  [{ "json-path": "$.queue.oldest" }, { fail: "> 10" }, "unknown", /finds null, which is no number$/],
  [{ "json-path": "$.absent" }, { fail: "> 10" }, "unknown", "$.absent finds nothing"],
])("JSON with %o and %o is %s", async (settings, limits, status, reason) => {
  const result = await http("/json", settings, limits);

  expect(result.reason).toMatch(reason);
  expect(result.status).toBe(status);
});

test("a body that is no JSON fails what it should equal, and leaves a number unknown", async () => {
  expect(await http("/text", { "json-path": "$.status", equals: "ok" })).toMatchObject({
    status: "fail",
    reason: 'HTTP 200, the body is no JSON, expected "ok" at $.status',
  });
  expect(await http("/text", { "json-path": "$.depth" }, { fail: "> 1" })).toMatchObject({
    status: "unknown",
  });
});

test("what is there instead is evidence, as it is in the body", async () => {
  expect(await http("/json", { "json-path": "$.status", equals: "up" })).toMatchObject({
    evidence: { found: "ok", attempts: [{ status: 200, found: "ok" }] },
  });
});

test("a bad answer is asked for again, as often as is allowed, and the result says so", async () => {
  bad = 2;
  expect(await http("/json", { retries: 2 })).toMatchObject({
    status: "pass",
    reason: expect.stringMatching(/^HTTP 200 in \d+ms, after 2 bad$/),
    evidence: {
      attempts: [
        { status: 503, problem: "status 503, expected 200-399" },
        { status: 503 },
        { status: 200, problem: null },
      ],
    },
  });

  bad = 3;
  expect(await http("/json", { retries: 2 })).toMatchObject({
    status: "fail",
    reason: "status 503, expected 200-399",
  });
  expect(server.requests).toHaveLength(6);
});

test("of several measurements the median or the longest counts, all of which must be good", async () => {
  delays = [0, 600, 0, 0, 600, 0];

  expect(await http("/json", { measurements: 3 }, { fail: "> 400ms" })).toMatchObject({
    status: "pass",
    reason: expect.stringContaining("(median of 3)"),
  });
  expect(await http("/json", { measurements: 3, latency: "max" }, { fail: "> 400ms" })).toMatchObject({
    status: "fail",
    reason: expect.stringContaining("(max of 3), limit > 400ms"),
  });
  bad = 1;
  expect(await http("/json", { measurements: 3 })).toMatchObject({ status: "fail" });
});

test("a redirect is not followed, and a bad answer where the gate says so; its query is not shown", async () => {
  expect(await http("/moved")).toMatchObject({ status: "pass" });
  const result = await http("/moved", { redirect: "fail" });

  expect(result).toMatchObject({ status: "fail", reason: `HTTP 302 sends one to ${server.url}/login?…` });
  expect(JSON.stringify(result)).not.toContain("hunter22");
});

test("the digest is that of the body as it came", async () => {
  const sha256 = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
  const { rawDigest, evidence } = await http("/raw");
  const cut = await http("/long");

  expect(rawDigest).toContain(sha256(body));
  expect(evidence).not.toHaveProperty("digestOf");
  expect(cut.rawDigest).toContain(sha256(long.subarray(0, 2 ** 20)));
  expect(cut.evidence).toMatchObject({ digestOf: "the first MiB of the body" });
});

test.each([
  [{ equals: "ok" }, {}, /with\.equals: needs "json-path:"/],
  [{ "json-path": "$.[" }, {}, /with\.json-path: "\$\.\[" is no JSONPath/],
  [{ "json-path": "$.a", method: "HEAD" }, {}, /with\.json-path: needs a body/],
  [{ "tls-expires-in": "1d" }, {}, /with\.tls-expires-in: needs a URL of https/],
  [{ "json-path": "$.a" }, { fail: "> 5s" }, /the limit "> 5s" has the wrong unit/],
  [{ "json-path": "$.a", equals: 1 }, { fail: "> 5" }, /the limit "> 5" has the wrong unit/],
])("%o with %o is refused before anything is asked", async (settings, limits, message) => {
  await expect(http("/json", settings, limits)).rejects.toThrow(message);
  expect(server.requests).toHaveLength(0);
});
