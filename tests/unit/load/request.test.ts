import { describe, expect, test } from "vitest";
import { type LoadInput, requestedLoad } from "../../../src/load/request.ts";
import { requireOwned } from "../../../src/load/target.ts";
import { answerThresholds, verdictOf } from "../../../src/load/verdict.ts";
import type { LoadFigures } from "../../../src/load-engine/plan.ts";
import { parseLoadThreshold } from "../../../src/measured-series/load-threshold.ts";
import { testContext } from "../../support/context.ts";

const environment = (settings: object) => testContext(settings).environment;

describe("a target that the environment owns", () => {
  const listed = environment({ load: { allow: ["https://staging.example.com", "http://10.0.0.5:8080/"] } });

  test.each([
    "https://staging.example.com/x?y=1",
    "https://STAGING.example.com:443/",
    "http://10.0.0.5:8080",
  ])("%s is on its list", async (target) => {
    expect((await requireOwned(listed, target)).origin).toMatch(/staging|10\.0\.0\.5/);
  });

  test.each([
    "http://staging.example.com/",
    "https://staging.example.com:8443/",
    "https://staging.example.com.evil.org/",
    "https://staging.example.com@evil.org/",
    "https://evil.org/https://staging.example.com",
    "https://evil.org#staging.example.com",
    "https://evil.org\\@staging.example.com",
    "https://staging.example.com./",
    "http://127.0.0.1/",
    "http://10.0.0.50:8080/",
    "ftp://staging.example.com/",
  ])("%s is not", async (target) => {
    await expect(requireOwned(listed, target)).rejects.toMatchObject({ exitCode: 2 });
  });

  test.each([
    "http://127.0.0.1:3000/",
    "http://localhost:3000",
    "http://[::1]:3000/",
    "http://127.8.9.1/",
    "http://2130706433/",
  ])("without a list %s is this machine", async (target) => {
    await expect(requireOwned(environment({}), target)).resolves.toBeInstanceOf(URL);
  });

  test.each([
    "http://0.0.0.0/",
    "http://10.0.0.5/",
    "http://localhost.evil.org/",
    "http://[::ffff:10.0.0.5]/",
    "http://app.internal/",
  ])("without a list %s is not", async (target) => {
    await expect(requireOwned(environment({}), target)).rejects.toMatchObject({ code: "E_LOAD_FORBIDDEN" });
  });

  test("an empty list owns nothing", async () => {
    await expect(
      requireOwned(environment({ load: { allow: [] } }), "http://127.0.0.1/"),
    ).rejects.toMatchObject({
      code: "E_LOAD_FORBIDDEN",
    });
  });

  test.each([
    "https://*.example.com",
    "staging.example.com",
    "https://user@example.com",
    "https://example.com/path",
    "https://example.com?x",
  ])("%s cannot be on a list", (allow) => {
    expect(() => environment({ load: { allow: [allow] } })).toThrow("is not the scheme, host and port");
  });
});

describe("what is wrong before the first request", () => {
  const load = { target: "http://127.0.0.1:1/app/", duration: "10s" };
  const ask = (settings: object, input: Partial<LoadInput> = {}) =>
    requestedLoad(environment({ loads: { web: { ...load, ...settings } } }), input as LoadInput);

  test.each([
    ["a step elsewhere", { scenario: [{ url: "http://127.0.0.1:2/" }] }, "E_LOAD_FORBIDDEN"],
    ["a step elsewhere without a scheme", { scenario: [{ url: "//evil.org/" }] }, "E_LOAD_FORBIDDEN"],
    ["a step elsewhere by backslashes", { scenario: [{ url: "/\\evil.org/" }] }, "E_LOAD_FORBIDDEN"],
    ["a ramp-up as long as the load", { "ramp-up": 10 }, "E_LOAD_INPUT"],
    ["a limit that is longer than the timeout", { thresholds: ["p95<30s"] }, "E_LOAD_INPUT"],
    ["too many intervals", { duration: "10h" }, "E_LOAD_INPUT"],
  ])("%s", async (_, settings, code) => {
    await expect(ask(settings)).rejects.toMatchObject({ code, exitCode: 2 });
  });

  test("a URL of something else than HTTP", async () => {
    await expect(ask({}, { url: "ftp://127.0.0.1/" })).rejects.toMatchObject({ exitCode: 2 });
  });

  test("k6, where it is not installed", async () => {
    const path = process.env.PATH;
    process.env.PATH = "/nowhere";
    try {
      await expect(ask({ engine: "k6" })).rejects.toMatchObject({
        code: "E_PROGRAM_MISSING",
        exitCode: 2,
        message: "No load was made: the program k6 is not on PATH",
      });
    } finally {
      process.env.PATH = path;
    }
  });

  test("bare numbers are seconds, as the tools for load have it", async () => {
    const { settings } = await ask({ duration: 300, "ramp-up": "60" });

    expect(settings).toMatchObject({ duration: 300_000, "ramp-up": 60_000 });
  });

  test.each(["p95", "p42<1s", "p95 increase < 5%", "p95<5%", "error-rate<1", "throughput>1s", ">5"])(
    "%j is no threshold",
    (text) => {
      expect(() => parseLoadThreshold(text)).toThrow(
        expect.objectContaining({ code: "E_LIMIT", exitCode: 2 }),
      );
    },
  );
});

describe("thresholds", () => {
  const figures = (
    changes: Partial<LoadFigures> = {},
    latency: Partial<LoadFigures["latency"]> = {},
  ): LoadFigures => ({
    elapsedMs: 10_000,
    measuredMs: 10_000,
    requests: 1000,
    bad: 0,
    failures: { status: changes.bad ?? 0, timeout: 0, connection: 0 },
    statuses: {},
    bytes: 0,
    throughput: 100,
    latency: { p50: 5, p75: 6, p90: 7, p95: 8, p99: 9, p999: 9, mean: 5, max: 9, ...latency },
    steps: [],
    intervals: [],
    ...changes,
  });
  const none = { p50: null, p75: null, p90: null, p95: null, p99: null, p999: null, mean: null, max: null };

  test.each([
    ["p95<200ms", figures(), "pass"],
    ["p95 < 8ms", figures(), "fail"],
    ["p95 <= 8ms", figures(), "pass"],
    ["p99<1s", figures({ requests: 999 }), "unknown"],
    ["p95<200ms", figures({ requests: 199 }), "unknown"],
    ["p95<200ms", figures({ bad: 1000 }, none), "unknown"],
    ["error-rate<1%", figures({ bad: 9 }), "pass"],
    ["error-rate<1%", figures({ bad: 11 }), "fail"],
    ["error-rate<1%", figures({ requests: 299 }), "unknown"],
    ["error-rate<1%", figures({ requests: 5, bad: 5 }), "fail"],
    ["error-rate<1%", figures({ requests: 20, bad: 1 }), "unknown"],
    ["error-rate<1%", figures({ requests: 0 }), "unknown"],
    ["throughput>1000", figures(), "fail"],
    ["throughput>50", figures(), "pass"],
    ["throughput>50", figures({ measuredMs: 900 }), "unknown"],
  ] as const)("%s of %#: %s", (text, measured, status) => {
    const [answer] = answerThresholds(measured, [parseLoadThreshold(text)], false);

    expect(answer?.status).toBe(status);
  });

  test("of a load that was ended early are unknown, and unknown is no pass", () => {
    const answers = answerThresholds(figures(), [parseLoadThreshold("p95<200ms")], true);

    expect(answers).toMatchObject([{ status: "unknown", reason: "p95 8 ms; the load was ended early" }]);
    expect(verdictOf(answers)).toBe("unknown");
  });
});
