import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FlagdCore } from "@openfeature/flagd-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { type TestContext, testContext } from "../../support/context.ts";
import { failureOf, flag, flagOperation } from "../../support/flag-operations.ts";
import { databasePlace, type FlagPlace } from "../../support/flag-sources.ts";
import { startTestCluster } from "../../support/postgres.ts";

let cluster: Cluster;
let place: FlagPlace;
let context: TestContext;
let folder: string;
let file: string;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  place = await databasePlace(cluster);
  folder = await mkdtemp(join(tmpdir(), "ops-flags-"));
  file = join(folder, "flags.yaml");
  const sources = { database: { database: "main" }, git: { file } };
  context = testContext(
    { databases: { main: { url: place.url } }, "flag-sources": sources },
    { directory: folder },
  );
  return async () => {
    await place.remove();
    await rm(folder, { recursive: true, force: true });
  };
});
afterEach(() => vi.useRealTimers());

const run = (verb: string, input: object) => flag(context, verb, input);
const inGit = (verb: string, input: object) => run(verb, { ...input, source: "git" });
const inDatabase = (verb: string, input: object) => run(verb, { ...input, source: "database" });
const differences = async () =>
  ((await run("diff", { with: "git", source: "database" })).output as { differences: unknown[] }).differences;

describe("flags between a database and git", () => {
  beforeEach(async () => {
    await inGit("segment.set", {
      segment: "beta",
      rule: '{"ends_with": [{"var": "email"}, "@example.com"]}',
    });
    await inGit("set", { flag: "accounts", rollout: "50%" });
    await inGit("set", { flag: "checkout", rollout: "10%", owner: "shop" });
    await inGit("require", { flag: "checkout", needed: "accounts" });
    await inGit("allow", { flag: "checkout", segment: "beta" });
  });

  test("are made the same by sync, and undo takes exactly that back", async () => {
    await inDatabase("set", { flag: "accounts", rollout: "20%" });
    await inDatabase("set", { flag: "mine", state: "on" });
    expect(await differences()).toHaveLength(5);
    const synced = await run("sync", { from: "git", to: "database" });
    expect(synced.output).toEqual({ created: ["checkout", "beta"], changed: ["accounts"], deleted: [] });
    expect(await differences()).toMatchObject([{ name: "mine", there: null }]);
    expect((await run("sync", { from: "git", to: "database" })).changes).toEqual([]);
    await run("sync", { from: "git", to: "database", prune: true });
    expect(await differences()).toEqual([]);
    await inDatabase("set", { flag: "mine", state: "on" });
    expect(await synced.undo()).toEqual({ undone: true });
    const { output } = await inDatabase("list", {});
    expect(output).toMatchObject({ flags: [{ flag: "accounts", rollout: 20 }, { flag: "mine" }] });
  });

  test("keep what was changed since, also in an undo, and what was killed", async () => {
    const synced = await run("sync", { from: "git", to: "database" });
    await inDatabase("rollout", { flag: "checkout", share: "30%" });
    expect(await synced.undo()).toMatchObject({ undone: false, note: expect.stringContaining("checkout") });
    await inDatabase("set", { flag: "accounts", rollout: "30%" });
    await inDatabase("kill", { flag: "accounts" });
    expect(await failureOf(run("sync", { from: "git", to: "database" }))).toMatchObject({
      code: "E_FLAG_KILLED",
      message: "Killed flags are not overwritten: accounts",
    });
    await inGit("kill", { flag: "accounts", reason: "here too" });
    await run("sync", { from: "git", to: "database" });
    expect((await inDatabase("get", { flag: "accounts" })).output).not.toMatchObject({
      killed: expect.stringContaining("here too"),
    });
    await inGit("restore", { flag: "accounts" });
    await inDatabase("restore", { flag: "accounts" });
    await inDatabase("set", { flag: "accounts", protected: "yes" });
    expect(await failureOf(run("sync", { from: "git", to: "database" }))).toMatchObject({
      code: "E_FLAG_PROTECTED",
    });
    await run("sync", { from: "git", to: "database", reason: "the release" });
    expect(await differences()).toEqual([]);
  });

  test("are exported as flagd reads them, and imported from that again", async () => {
    const { output } = await inGit("export", {});
    const text = flagOperation("flag.export").render?.(output) ?? "";
    const core = new FlagdCore();
    core.setConfigurations(text);
    const has = (email: string) =>
      core.resolveBooleanEvaluation("checkout", false, { targetingKey: "4", email }).value;
    expect([has("ann@example.com"), has("bob@example.org")]).toEqual([true, false]);
    const exported = join(folder, "exported.json");
    await writeFile(exported, text);
    await inDatabase("import", { file: exported });
    expect(await differences()).toEqual([]);
    expect((await run("diff", { with: exported, source: "database" })).output).toEqual({ differences: [] });
    expect(await failureOf(inDatabase("import", { file: join(folder, "gone.json") }))).toMatchObject({
      code: "E_FLAG_FILE",
      exitCode: 2,
    });
  });

  test("are refused as a whole where one of them is wrong", async () => {
    const wrong = join(folder, "wrong.json");
    const flagOf = (defaultVariant: string) => ({
      state: "ENABLED",
      variants: { on: true, off: false },
      defaultVariant,
    });
    await writeFile(wrong, JSON.stringify({ flags: { a: flagOf("on"), b: flagOf("of") } }));
    expect(await failureOf(inDatabase("import", { file: wrong }))).toMatchObject({
      code: "E_FLAG_INVALID",
      message: expect.stringContaining("flag b: "),
    });
    expect((await inDatabase("list", {})).output).toEqual({ flags: [], unreadable: [] });
    const { output } = await run("lint", { file: wrong });
    expect(output).toMatchObject({ flags: 2, errors: 1, warnings: 2 });
    expect(flagOperation("flag.lint").failure?.(output)).toMatchObject({ code: "E_LINT", exitCode: 1 });
  });
});

describe("a segment", () => {
  test("changes every flag that uses it, and goes only when none does", async () => {
    const rule = '{"==": [{"var": "plan"}, "pro"]}';
    const made = await inGit("segment.set", { segment: "pro", rule });
    await inGit("set", { flag: "f", rollout: "0%" });
    await inGit("allow", { flag: "f", segment: "pro" });
    const value = async () =>
      ((await inGit("eval", { flag: "f", context: { plan: "free" } })).output as { value: unknown }).value;
    expect(await value()).toBe(false);
    const changed = await inGit("segment.set", { segment: "pro", rule: '{"==": [{"var": "plan"}, "free"]}' });
    expect(changed.output).toMatchObject({ flags: ["f"] });
    expect(await value()).toBe(true);
    await changed.undo();
    expect(await value()).toBe(false);
    expect(await failureOf(inGit("segment.remove", { segment: "pro" }))).toMatchObject({
      code: "E_FLAG_INVALID",
      message: "flag f: uses the segment pro, which is not there",
    });
    expect(await failureOf(inGit("segment.set", { segment: "pro", rule: '{"is": 1}' }))).toMatchObject({
      code: "E_FLAG_INVALID",
    });
    await inGit("allow", { flag: "f", segment: "pro", remove: true });
    await inGit("segment.remove", { segment: "pro" });
    expect((await inGit("segment.list", {})).output).toEqual({ segments: [] });
    expect(await made.undo()).toEqual({ undone: true });
  });
});

describe("flag.schedule", () => {
  const value = async (name = "f") =>
    ((await inGit("eval", { flag: name, context: { targetingKey: "u" } })).output as { value: unknown })
      .value;
  const at = (time: string) => vi.useFakeTimers({ toFake: ["Date"], now: new Date(time) });

  test("changes the rollout when its time has come, with nothing running, and a kill takes it away", async () => {
    at("2026-06-01T00:00:00Z");
    await inGit("set", { flag: "f", rollout: "0%" });
    await inGit("schedule", { flag: "f", at: "2026-06-02T00:00:00Z", state: "on" });
    const third = await inGit("schedule", { flag: "f", at: "2026-06-03T02:00:00+02:00", rollout: "0%" });
    expect((await inGit("get", { flag: "f" })).output).toMatchObject({
      rollout: 0,
      rules: ["on at 0%", "from 2026-06-02T00:00:00Z on for 100%", "from 2026-06-03T00:00:00Z off"],
    });
    expect(await value()).toBe(false);
    at("2026-06-02T00:00:01Z");
    expect(await value()).toBe(true);
    expect((await inGit("get", { flag: "f" })).output).toMatchObject({
      rollout: 100,
      rules: ["on at 100%", "from 2026-06-03T00:00:00Z off"],
    });
    const { output } = await inGit("lint", {});
    expect(output).toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ rule: "time-passed" })]),
    });
    await third.undo();
    expect(await value()).toBe(true);
    await inGit("kill", { flag: "f" });
    expect(await value()).toBe(false);
    await inGit("restore", { flag: "f" });
    await inGit("schedule", { flag: "f", clear: true });
    at("2026-06-04T00:00:00Z");
    expect(await value()).toBe(true);
    expect((await inGit("get", { flag: "f" })).output).toMatchObject({
      definition: { defaultVariant: "on" },
    });
  });

  test.each([
    ["disabled", "enable f", (): Promise<unknown> => inGit("disable", { flag: "f" })],
    ["off", "rollout f 0%", (): Promise<unknown> => inGit("set", { flag: "f", state: "off" })],
  ])("of a flag that is %s is refused: nothing would happen", async (state, hint, make) => {
    await inGit("set", { flag: "f", rollout: "10%" });
    await make();
    const at = "2099-01-01T00:00:00Z";
    expect(await failureOf(inGit("schedule", { flag: "f", at, rollout: "50%" }))).toMatchObject({
      code: "E_FLAG_TARGETING",
      message: `Flag f is ${state}: nothing would happen at that time`,
      hint: expect.stringContaining(hint),
      exitCode: 2,
    });
    await inGit("schedule", { flag: "f", clear: true });
  });

  test.each([
    [{}, /What is to happen/],
    [{ at: "2099-01-01T00:00:00Z" }, /What is to happen/],
    [{ at: "2020-01-01T00:00:00Z", state: "on" }, /has passed/],
    [{ clear: true, state: "on" }, /takes back/],
  ])("with %j is refused", async (input, message) => {
    await inGit("set", { flag: "f", state: "on" });
    const found = await failureOf(inGit("schedule", { flag: "f", ...input }));
    expect(found).toMatchObject({ code: "E_INPUT", exitCode: 2, message: expect.stringMatching(message) });
  });
});

test("flag.stale lists what expired, and what is the same for everybody for long", async () => {
  await inGit("set", { flag: "old", state: "on", expires: "2026-01-31" });
  await inGit("set", { flag: "done", state: "on" });
  await inGit("set", { flag: "ramping", rollout: "10%" });
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 40 * 86_400_000 });
  const { output } = await inGit("stale", {});
  expect(output).toMatchObject({
    flags: [
      { flag: "old", why: "expired on 2026-01-31" },
      { flag: "done", why: "at 100% for 40 days", days: 40 },
    ],
  });
  expect(await readFile(file, "utf8")).toContain("ramping:");
});
