import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Clock } from "../../../src/core/clock.ts";
import { OpsError } from "../../../src/core/errors.ts";
import { rememberSecret } from "../../../src/core/redaction.ts";
import { defineCheck } from "../../../src/run/check.ts";
import { judgeByLimits } from "../../../src/run/limits.ts";
import { operations } from "../../../src/watch/operations.ts";
import { watchReport } from "../../../src/watch/report.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";

/** Days in a moment: time passes only where somebody waits. */
class PassingTime implements Clock {
  readonly start = Date.parse("2026-11-22T00:00:00Z");
  private passed = 0;
  /** By how much the wall clock is set forward, and when. */
  jump = 0;
  jumpAt = 0;
  now = () => new Date(this.start + this.passed + (this.passed >= this.jumpAt ? this.jump : 0));
  elapsed = () => this.passed;
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.passed += ms;
  }
}

const [run] = operations;
let directory: string;
let clock: PassingTime;
/** What the check sees, by the minutes that have passed; undefined cannot be measured. */
let rate: (minutes: number) => number | undefined;

const rateCheck = defineCheck({
  kind: "rate",
  summary: "What the test says",
  input: z.strictObject({}),
  limitUnits: ["percent"],
  measure: async () => {
    const value = rate(clock.elapsed() / 60_000);
    if (value === undefined) throw new OpsError("E_DATABASE_UNREACHABLE", "nobody answers");
    return { value, shown: `${value}%` };
  },
  judge: ({ value, shown }, _input, limits) => judgeByLimits(Number(value), shown, limits),
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ops-watch-"));
  clock = new PassingTime();
  rate = () => 1;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Watched {
  readonly verdict: z.output<typeof watchReport>;
  readonly report: RecordingReport;
  readonly error: OpsError | undefined;
}

async function watched(input: object, report = new RecordingReport()): Promise<Watched> {
  if (run === undefined) throw new Error("there is no watch.run");
  const checks = [{ id: "errors", kind: "rate", with: {}, fail: "> 5%" }];
  const base = testContext({ gates: { g: { checks } } }, { directory, checks: [rateCheck] });
  const context = { ...base, clock };
  try {
    const { output } = await perform(run, context, { gate: "g", ...input }, report);
    return { verdict: watchReport.parse(output), report, error: undefined };
  } catch (error) {
    if (!(error instanceof OpsError) || error.details === undefined) throw error;
    return { verdict: watchReport.parse(error.details), report, error };
  }
}

it("goes on where its file cannot be written for a while, and says so once", async () => {
  const folder = join(directory, ".ops", "watches");
  rate = (minutes) => {
    if (minutes === 1) {
      rmSync(folder, { recursive: true, force: true });
      writeFileSync(folder, "");
    }
    return 1;
  };
  const { verdict, report } = await watched({ for: "5m" });

  expect(verdict).toMatchObject({ verdict: "pass", looks: 5 });
  expect(report.lines.filter((line) => line.includes("cannot be kept"))).toHaveLength(1);
});

it("plans the same, and keeps a command that works, where a secret is an ordinary word in it", async () => {
  const input = { gate: "g", for: "5m", "on-fail": ["sh", "-c", "true snowdrop"], "failures-in-a-row": 1 };
  const context = testContext(
    { gates: { g: { checks: [{ id: "errors", kind: "rate", with: {} }] } } },
    { directory, checks: [rateCheck] },
  );
  const plan = async () => {
    if (run === undefined) throw new Error("there is no watch.run");
    const parsed = run.input.parse(input);
    return run.plan(await run.observe(context, parsed), parsed);
  };
  const before = await plan();
  rememberSecret("snowdrop");
  rate = () => 7;
  const { report } = await watched(input);

  expect(await plan()).toEqual(before);
  expect(report.checkpoints.at(-1)).toMatchObject({ action: { state: "done", words: input["on-fail"] } });
});

describe("in simulated time", () => {
  it("48 hours, every minute: it looks 2,880 times, and neither checkpoints nor their size grow with that", async () => {
    // A bad look every 25 minutes, and one that cannot be measured every 100.
    rate = (minutes) => (minutes % 100 < 1 ? undefined : minutes % 25 < 1 ? 7 : 1 + (minutes % 3));

    const { verdict, report } = await watched({ for: "48h", every: "1m" });

    expect(verdict).toMatchObject({ verdict: "pass", looks: 2880, noGoes: 116, gaps: { missed: 0 } });
    expect(verdict.checks).toMatchObject([{ id: "errors", fail: 87, unknown: 29, median: 2, worst: 7 }]);
    expect(verdict.badLooks).toMatchObject({ count: 116 });
    const sizes = report.checkpoints.map((each) => JSON.stringify(each).length);
    expect(sizes.length).toBeLessThan(450);
    expect(Math.max(...sizes)).toBeLessThan(10_000);
    // A sign of life every hour, and a line for each change; not one for each look.
    expect(report.lines.length).toBeLessThan(300);
  });

  it("two bad looks in a row are not enough, three are, and a limit of a trigger's own counts for it alone", async () => {
    rate = (minutes) => (minutes >= 10 && minutes < 12 ? 9 : 4);
    const two = await watched({ for: "1h" });
    rate = (minutes) => (minutes >= 70 ? 9 : 4);
    const three = await watched({ for: "2h" });
    const own = await watched({ for: "1h", trigger: ["errors > 3% for 5m"] });

    expect(two.verdict).toMatchObject({ verdict: "pass", noGoes: 2 });
    expect(three.error).toMatchObject({ code: "E_WATCH_TRIGGERED", exitCode: 3 });
    expect(three.verdict.trigger).toMatchObject({
      triggers: ["no-go 3 in a row"],
      reasons: ["errors: 9%, limit > 5%"],
    });
    expect(own.verdict).toMatchObject({ verdict: "triggered", looks: 6 });
  });

  it("what cannot be measured counts as the gate says", async () => {
    rate = () => undefined;

    const { verdict } = await watched({ for: "1h", trigger: ["errors > 50% 2 times"] });

    expect(verdict).toMatchObject({ verdict: "triggered", looks: 2 });
    expect(verdict.trigger?.reasons).toEqual(["errors: nobody answers"]);
  });

  it("a trigger that counts when the time is over is waited for", async () => {
    rate = (minutes) => (minutes >= 58 ? 9 : 1);
    const bad = await watched({ for: "1h" });
    clock = new PassingTime();
    rate = (minutes) => (minutes >= 58 && minutes < 60 ? 9 : 1);
    const well = await watched({ for: "1h" });

    expect(bad.verdict).toMatchObject({ verdict: "triggered", looks: 61 });
    expect(well.verdict).toMatchObject({ verdict: "pass", looks: 61 });
  });

  it("a clock that is set forward leaves a gap, which breaks what was counted and shortens the watch", async () => {
    // Two bad looks before it and two behind it.
    rate = (minutes) => (minutes >= 9 && minutes < 13 ? 9 : 1);
    clock.jump = 20 * 60_000;
    clock.jumpAt = 10.5 * 60_000;

    const { verdict } = await watched({ for: "1h" });

    expect(verdict).toMatchObject({ verdict: "pass", gaps: { count: 1 } });
    expect(verdict.looks).toBe(40);
    expect(verdict.gaps.missed).toBe(20);
  });

  it("a watch that slept through its time says so, and is no pass", async () => {
    const first = new RecordingReport();
    const { sleep } = clock;
    clock.sleep = async (ms) => {
      await sleep.call(clock, ms);
      if (clock.elapsed() > 5 * 60_000) throw new Error("the machine goes off");
    };
    await expect(watched({ for: "1h" }, first)).rejects.toThrow("goes off");
    clock.sleep = sleep;
    clock.jump = 3_600_000;

    const { verdict, error } = await watched({ for: "1h" }, new RecordingReport(first.last));

    expect(error).toMatchObject({ code: "E_WATCH_UNSEEN", exitCode: 3 });
    expect(verdict).toMatchObject({ verdict: "unseen", looks: 6, gaps: { count: 1, missed: 54 } });
  });
});

it.each([
  [{ trigger: ["nothing 3 in a row"] }, 'no check "nothing"'],
  [{ trigger: ["errors > 500ms"] }, "wrong unit"],
  [{ for: "1m", every: "2m" }, "it would look once"],
  [{ every: "1ms" }, "too often"],
  [{ "on-fail": "ops runs rollback last" }, "the watch itself"],
  [{ "on-fail": "ops runs rollback 20260101-000000-test" }, "waits for the watch"],
  [{ trigger: ["errors for 2h"] }, "lasts no longer"],
  [{ trigger: [{ check: "errors", for: "1m", "failures-in-a-row": 2 }] }, "has both"],
  [{ "on-fail": "a | b" }, "a pipe needs a shell"],
])("%j is refused before the first look", async (input, why) => {
  const report = new RecordingReport();

  await expect(watched(input, report)).rejects.toThrow(why);
  expect(report.checkpoints).toEqual([]);
});
