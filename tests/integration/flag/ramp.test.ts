import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { type ErrorRecord, InterruptedError, TerminatedError } from "../../../src/core/errors.ts";
import { withFlag } from "../../../src/flag-source/flag-set.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { type Check, defineCheck } from "../../../src/run/check.ts";
import { samplesIn } from "../../../src/run/sample.ts";
import { perform, RecordingReport, type TestContext, testContext } from "../../support/context.ts";
import { contextOf, failureOf, flag, flagOperation, storedFlag } from "../../support/flag-operations.ts";
import { Shop, shopMetrics } from "../../support/flag-shop.ts";
import { databasePlace, type FlagPlace, filePlace, note } from "../../support/flag-sources.ts";
import { ops, startOps } from "../../support/ops.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { until } from "../wal/setting.ts";

const ramp = flagOperation("flag.ramp");
const quick = { flag: "checkout", interval: "40ms", bake: "250ms", extend: "2s", "on-crash": "hold" };

/** A ramp at work, as in another terminal. */
async function begun(context: TestContext, more: object = {}, report = new RecordingReport()) {
  const parsed = ramp.input.parse({ ...quick, ...more });
  const before = JSON.parse(JSON.stringify(await ramp.observe(context, parsed)));
  const attempt = (at: TestContext, with_: RecordingReport) => {
    const applied = ramp.apply(at, parsed, before, with_);
    return {
      output: applied,
      error: applied.then(
        () => undefined,
        (error: unknown) => failureOf(Promise.reject(error)),
      ) as Promise<ErrorRecord | undefined>,
    };
  };
  return {
    report,
    changes: ramp.plan(before, parsed),
    ...attempt(context, report),
    resumed: (at: TestContext) => attempt(at, new RecordingReport(report.last)),
    undo: () => ramp.undo?.(context, parsed, before, report),
  };
}

const inPause = (report: RecordingReport) =>
  until(async () => report.messages.at(-1)?.includes("paused for") === true, "the pause");

async function historyOf(place: FlagPlace): Promise<string[]> {
  const source = place.open();
  const changes = await source.changes({ flag: "checkout", limit: 100 });
  await source.close();
  return changes.map((each) => each.operation).toReversed();
}

describe("a ramp that is judged by requests, with flags in PostgreSQL", () => {
  let cluster: Cluster;
  let place: FlagPlace;
  let context: TestContext;
  const learnt = { compare: { learn: "0s" }, "min-requests": 5 };

  beforeAll(async () => {
    cluster = await startTestCluster();
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    place = await databasePlace(cluster);
    await Shop.prepare(place.url ?? "");
    context = contextOf({ ...place, settings: { ...place.settings, metrics: shopMetrics } });
    return () => place.remove();
  });
  const open = (): Shop => {
    const shop = new Shop(place, { flag: "checkout", url: place.url ?? "" });
    onTestFinished(() => shop[Symbol.asyncDispose]());
    return shop;
  };

  test("a protected flag is refused by the source itself", () => refusesUnexplained(place));

  test("goes up step by step, takes it from nobody, and says what it measured", async () => {
    await flag(context, "set", { flag: "checkout", state: "off" });
    await flag(context, "allow", { flag: "checkout", customers: ["3"] });
    const shop = open();
    const at = await begun(context, { ...learnt, steps: ["10%", "pause", "50%", "100%"] });
    await inPause(at.report);
    const early = await flag(contextOf(place), "promote", { flag: "checkout", reason: "fine" });
    const output = await at.output;

    expect(at.changes.map((each) => each.summary)).toEqual([
      "give on to 10% of the users, watch it for 250ms and wait for ops flag promote checkout",
      "give on to 50% of the users and watch it for 250ms",
      "give on to 100% of the users and watch it for 250ms",
    ]);
    expect(early.output).toMatchObject({ share: 10, acknowledged: true });
    expect(output).toMatchObject({
      verdict: "pass",
      judge: "metrics",
      share: 100,
      steps: [{ share: 10 }, { share: 50 }, { share: 100 }],
      promotions: [{ share: 10, by: "ann@laptop", reason: "fine" }],
    });
    const half = (output as { steps: { figures: { requests: number; comparison: object[] } }[] }).steps[1];
    expect(half?.figures).toMatchObject({ errors: 0, comparison: [{ of: "errors", threshold: 100 }] });
    expect(half?.figures.requests).toBeGreaterThan(5);
    const sizes = [...new Set(shop.rounds.map((each) => each.size))];
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    for (const [index, round] of shop.rounds.entries()) {
      expect(round.isSupersetOf(shop.rounds[index - 1] ?? new Set())).toBe(true);
    }
    const samples = at.report.checkpoints.flatMap(samplesIn);
    expect(samples.at(-1)?.measures.map(({ name }) => name)).toContain("% of users");
    expect(await historyOf(place)).toEqual(["flag.set", "flag.allow", "flag.ramp", "flag.ramp", "flag.ramp"]);
    // The list stays, and undo takes all of it back.
    expect(JSON.stringify(await storedFlag(place, "checkout"))).toContain('["3"]');
    expect(await at.undo()).toEqual({ undone: true });
    expect((await flag(context, "get", { flag: "checkout" })).output).toMatchObject({ state: "off" });
  });

  test("that goes bad at 50% makes the flag exactly what it was, and says by how much", async () => {
    await flag(context, "set", { flag: "checkout", rollout: "10%", owner: "shop", protected: "yes" });
    const before = await storedFlag(place, "checkout");
    const shop = open();
    const at = await begun(context, { ...learnt, steps: ["50%", "100%"], reason: "release 7", bake: "5s" });
    await until(async () => / of 5\.0s/.test(at.report.messages.at(-1) ?? ""), "the bake");
    shop.failEvery = 3;

    expect(await at.error).toMatchObject({
      code: "E_RAMP_ABORTED",
      message: expect.stringMatching(/^on (answered \d+ of .*\d+ requests badly|fails).* at 50%/),
      details: { verdict: "abort", share: 50, figures: { comparison: [{ of: "errors" }] } },
    });
    expect(await storedFlag(place, "checkout")).toEqual(before);
    expect(at.report.last).toMatchObject({ phase: "aborted", step: 0 });
    expect(samplesIn(at.report.last).length).toBeGreaterThan(0);
    const { output } = await flag(context, "history", { flag: "checkout", limit: 1 });
    expect(output).toMatchObject({
      changes: [{ operation: "flag.ramp", reason: expect.stringContaining("the ramp failed: on ") }],
    });
  });

  test("has no verdict without requests of the variant, and cannot begin with limits nobody can tell", async () => {
    await flag(context, "set", { flag: "checkout", state: "off" });
    const before = await storedFlag(place, "checkout");
    const at = await begun(context, { ...learnt, steps: ["50%"], deadline: "200ms" });
    expect(await at.error).toMatchObject({
      code: "E_RAMP_INCONCLUSIVE",
      message: expect.stringMatching(/flag checkout are not known: the query returned no rows/),
    });
    expect(await storedFlag(place, "checkout")).toEqual(before);
    expect(await failureOf(begun(context, { "abort-when": { p95: "> 1s" } }))).toMatchObject({
      code: "E_REQUEST_TIMES",
      message: "The metrics of flag checkout are counts, which tell no p95",
      exitCode: 2,
    });
    expect(await failureOf(begun(contextOf(place), { judge: "metrics" }))).toMatchObject({
      code: "E_REQUEST_SOURCE",
      exitCode: 2,
    });
  });

  test("ends at once for a kill and for an abort, past the lock of its run, and for a change by hand", async () => {
    await flag(context, "set", { flag: "checkout", rollout: "10%" });
    const config = join(place.directory, "opsrc.yaml");
    const { url } = place;
    await writeFile(config, JSON.stringify({ databases: { main: { url } }, "flag-sources": { main: {} } }));
    const cli = { config, cwd: place.directory };
    const words = ["flag", "ramp", "checkout", "--steps", "50%,pause,100%", "--bake", "50ms", "--yes"];
    const running = startOps(words, cli);
    await until(async () => (await recordOf(place))?.paused != null, "the pause");

    const locked = await ops(["flag", "set", "checkout", "--state", "off", "--yes"], cli);
    const killed = await ops(["flag", "kill", "checkout", "--reason", "payments fail", "--yes"], cli);
    const ended = await running.result;

    expect(locked.exitCode).toBe(6);
    expect(killed).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining("E_") });
    expect(ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("was killed by") });
    // Nothing was done to it after the kill.
    expect((await historyOf(place)).slice(1)).toEqual(["flag.ramp", "flag.kill"]);
    await flag(context, "restore", { flag: "checkout" });
    expect((await flag(context, "get", { flag: "checkout" })).output).toMatchObject({ rollout: 50 });

    const before = await storedFlag(place, "checkout");
    const aborted = await begun(contextOf(place), { steps: ["80%"], bake: "5m" });
    await until(async () => (await historyOf(place)).at(-1) === "flag.ramp", "the step");
    const answer = await flag(contextOf(place), "abort", { flag: "checkout", reason: "customers call" });
    // It was the command that made it what it was, and the ramp only heard of it.
    expect((await historyOf(place)).at(-1)).toBe("flag.abort");
    expect(answer.output).toMatchObject({ restored: true, acknowledged: true, variant: "on" });
    expect(await aborted.error).toMatchObject({
      code: "E_RAMP_ABORTED",
      message: "ann@laptop aborted the ramp: customers call",
    });
    expect(await storedFlag(place, "checkout")).toEqual(before);
    expect(await failureOf(flag(contextOf(place), "abort", { flag: "checkout" }))).toMatchObject({
      code: "E_NO_RAMP",
    });

    const drifted = await begun(contextOf(place), { steps: ["80%"], bake: "5m" });
    await until(async () => drifted.report.messages.length > 1, "the bake");
    await flag(contextOf(place), "rollout", { flag: "checkout", share: "60%" });
    expect(await drifted.error).toMatchObject({
      code: "E_FLAG_CHANGED",
      message: expect.stringContaining("changed, to on at 60%, by somebody else while it was ramped"),
    });
    expect((await historyOf(place)).at(-1)).toBe("flag.rollout");
    expect(await drifted.undo()).toMatchObject({ undone: false, note: expect.stringContaining("60%") });
  });
});

describe("a ramp over time and a gate, with flags in a file", () => {
  let place: FlagPlace;
  let context: TestContext;
  let verdicts: ("pass" | "fail")[];
  const probe: Check = defineCheck({
    kind: "probe",
    summary: "What the test says",
    input: z.strictObject({}),
    measure: async () => ({ value: verdicts.shift() ?? "pass", shown: "asked" }),
    judge: ({ value }) => ({ status: value === "fail" ? "fail" : "pass", reason: `it is a ${value}` }),
  });

  beforeEach(async () => {
    place = await filePlace("flags.yaml");
    verdicts = [];
    const gates = { healthy: { checks: [{ id: "probe", kind: "probe" }] } };
    context = testContext(
      { "flag-sources": { main: place.settings }, gates },
      { directory: place.directory, checks: [probe] },
    );
    await flag(context, "set", { flag: "checkout", state: "off" });
    return () => place.remove();
  });

  test("a protected flag is refused by the source itself", () => refusesUnexplained(place));

  test("asks the gate before the first step and after each; no-go takes the flag back", async () => {
    const passed = await perform(ramp, context, { ...quick, steps: ["50%", "100%"], gate: "healthy" });
    expect(passed.output).toMatchObject({
      judge: "time",
      steps: [50, 100].map((share) => ({
        share,
        figures: null,
        gate: { gate: "healthy", verdict: "go", checks: [{ id: "probe", status: "pass" }] },
      })),
    });
    expect(passed.changes[0]?.summary).toBe(
      "give on to 50% of the users, wait for 250ms and ask gate healthy",
    );
    await passed.undo();

    const before = await storedFlag(place, "checkout");
    verdicts = ["pass", "pass", "fail"];
    const at = await begun(context, { steps: ["10%", "50%", "100%"], gate: "healthy" });
    expect(await at.error).toMatchObject({ code: "E_NO_GO", exitCode: 3 });
    expect(at.report.lines).toContain("✗ probe  it is a fail");
    expect(await storedFlag(place, "checkout")).toEqual(before);
    expect((await historyOf(place)).slice(-3)).toEqual(["flag.ramp", "flag.ramp", "flag.ramp"]);
  });

  test("goes on from a pause that was promoted, and a pause nobody promotes gives back or holds", async () => {
    const pause = { steps: ["10%", { pause: "100ms" }, "50%"] };
    const before = await storedFlag(place, "checkout");
    const failing = await begun(context, pause);
    expect(await failing.error).toMatchObject({
      code: "E_RAMP_NOT_PROMOTED",
      message: "nobody promoted on at 10% in 100ms",
    });
    expect(await storedFlag(place, "checkout")).toEqual(before);
    const patient = { steps: ["10%", { pause: "2s" }, "50%"], unpromoted: "hold" };
    const held = await begun(context, patient);
    expect(await held.error).toMatchObject({ code: "E_RAMP_NOT_PROMOTED" });
    expect((await flag(context, "get", { flag: "checkout" })).output).toMatchObject({ rollout: 10 });

    const earlier = (await recordOf(place))?.token;
    const again = held.resumed(context);
    await until(async () => {
      const record = await recordOf(place);
      return record?.paused != null && record.token !== earlier;
    }, "the pause again");
    const seen = await flag(context, "get", { flag: "checkout" });
    expect(seen.output).toMatchObject({ ramp: { variant: "on", state: "paused", paused: { share: 10 } } });
    expect(flagOperation("flag.get").render?.(seen.output)).toMatch(
      /\nramp of on by .* since .*: paused at 10% since .*; ops flag promote checkout, or ops flag abort checkout\n/,
    );
    await flag(context, "promote", { flag: "checkout" });
    expect(await again.output).toMatchObject({ share: 50, steps: [{ share: 10 }, { share: 50 }] });
  });

  test("told to end, it follows its policy for a crash; a Ctrl-C leaves the flag at its share", async () => {
    const before = await storedFlag(place, "checkout");
    for (const [policy, reason, stays] of [
      ["hold", new TerminatedError(), true],
      ["return", new InterruptedError(), true],
      ["return", new TerminatedError(), false],
    ] as const) {
      const terminated = contextOf(place);
      const at = await begun(terminated, { bake: "60s", "on-crash": policy });
      await until(async () => at.report.messages.length > 0, "the bake");
      terminated.requestStop(reason);

      expect(await at.error).toMatchObject({ code: "E_INTERRUPTED" });
      expect(isDeepStrictEqual(await storedFlag(place, "checkout"), before)).toBe(!stays);
      expect((await recordOf(place)) === undefined).toBe(!stays);
      await at.undo();
      expect(await storedFlag(place, "checkout")).toEqual(before);
    }
  });

  test.each([
    ["is disabled", ["disable", {}], {}, "E_FLAG_RAMP", /is disabled/],
    [
      "has more already",
      ["rollout", { share: "60%" }],
      { steps: ["50%"] },
      "E_FLAG_RAMP",
      /60% have checkout/,
    ],
    ["was killed", ["kill", {}], {}, "E_FLAG_KILLED", /was killed/],
    ["has no such variant", ["enable", {}], { to: "blue" }, "E_FLAG_TARGETING", /no variant "blue"/],
    ["would be taken from somebody", ["rollout", { share: "60%" }], { to: "off" }, "E_FLAG_RAMP", /.*/],
    ["names a gate that is not there", ["enable", {}], { gate: "healty" }, "E_TARGET", /healty/],
  ] as const)(
    "is refused where the flag %s, and nothing is touched",
    async (_what, change, more, code, message) => {
      await flag(context, change[0], { flag: "checkout", ...change[1] });
      const before = await storedFlag(place, "checkout");
      expect(await failureOf(begun(context, more))).toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
      expect(await storedFlag(place, "checkout")).toEqual(before);
      expect(await recordOf(place)).toBeUndefined();
    },
  );

  test("killed between two steps: its watchdog takes it back and a resume begins anew, or it stays and is resumed there", async () => {
    const config = join(place.directory, "opsrc.yaml");
    await writeFile(config, JSON.stringify({ "flag-sources": { main: place.settings } }));
    const cli = { config, cwd: place.directory };
    const before = await storedFlag(place, "checkout");
    const words = ["flag", "ramp", "checkout", "--steps", "10%,50%,pause:5m,100%", "--bake", "50ms", "--yes"];
    const killedInPause = async (args: readonly string[]) => {
      const running = startOps(args, cli);
      await until(async () => (await recordOf(place))?.paused?.step === 1, "the pause at 50%");
      running.child.kill("SIGKILL");
      expect((await running.result).signal).toBe("SIGKILL");
    };
    await killedInPause(words);
    await until(async () => (await historyOf(place)).at(-1) === "flag.abort", "the watchdog");
    expect(await storedFlag(place, "checkout")).toEqual(before);

    const anew = startOps(["runs", "resume", "last", "--yes"], cli);
    await until(async () => (await recordOf(place))?.paused?.step === 1, "the pause again");
    expect(await ops(["flag", "promote", "checkout"], cli)).toMatchObject({
      exitCode: 0,
      stdout: "flag checkout: the ramp of on goes on from 50%\n",
    });
    expect(await anew.result).toMatchObject({ exitCode: 0 });
    expect((await historyOf(place)).slice(-4)).toEqual(["flag.abort", "flag.ramp", "flag.ramp", "flag.ramp"]);
    expect(await recordOf(place)).toBeUndefined();

    await flag(context, "set", { flag: "checkout", state: "off" });
    const off = await storedFlag(place, "checkout");
    await killedInPause([...words, "--on-crash", "hold"]);
    const seen = await ops(["flag", "get", "checkout", "--json"], cli);
    expect(JSON.parse(seen.stdout)).toMatchObject({ rollout: 50, ramp: { variant: "on", state: "stopped" } });
    expect(await ops(["runs", "rollback", "last", "--yes"], cli)).toMatchObject({ exitCode: 0 });
    expect(await storedFlag(place, "checkout")).toEqual(off);
  });
});

/** What the processes of one machine know of the ramp of the only flag; undefined where none is under way. */
async function recordOf(
  place: FlagPlace,
): Promise<{ token: string; paused: { step: number } | null } | undefined> {
  const folder = join(place.directory, ".ops", "flag");
  const [name] = (await readdir(folder).catch(() => [])).filter((each) => each.endsWith(".ramp.json"));
  if (name === undefined) return undefined;
  return JSON.parse(await readFile(join(folder, name), "utf8").catch(() => "null")) ?? undefined;
}

/** What no command stands before: a step of a runbook, an import. */
async function refusesUnexplained(place: FlagPlace): Promise<void> {
  const source = place.open();
  onTestFinished(() => source.close());
  await flag(contextOf(place), "set", { flag: "guarded", rollout: "10%", protected: "yes" });
  const before = await storedFlag(place, "guarded");
  const unexplained = { ...note, reason: undefined };
  const edit = () => source.update(unexplained, (now) => withFlag(now, "guarded", null));
  expect(await failureOf(edit())).toMatchObject({ code: "E_FLAG_PROTECTED", exitCode: 2 });
  expect(await storedFlag(place, "guarded")).toEqual(before);
  await source.update(note, (now) => withFlag(now, "guarded", null));
  expect(await storedFlag(place, "guarded")).toBeUndefined();
}
