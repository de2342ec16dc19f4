import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ExitCode } from "../../../src/core/errors.ts";
import type { FlagDefinition } from "../../../src/flag-source/definition.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport, type TestContext, testContext } from "../../support/context.ts";
import { contextOf, failureOf, flag, flagOperation, storedFlag } from "../../support/flag-operations.ts";
import { databasePlace, type FlagPlace, filePlace, sql } from "../../support/flag-sources.ts";
import { startTestCluster } from "../../support/postgres.ts";

const set = flagOperation("flag.set");
const get = flagOperation("flag.get");
const list = flagOperation("flag.list");

let cluster: Cluster;
let context: TestContext;
let place: FlagPlace;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  place = await databasePlace(cluster);
  context = contextOf(place);
  return () => place.remove();
});

const stored = (name = "pooling") => storedFlag(place, name);

const atTen: FlagDefinition = {
  state: "ENABLED",
  variants: { on: true, off: false },
  defaultVariant: "off",
  targeting: {
    fractional: [
      ["on", 10],
      ["off", 90],
    ],
  },
};

describe.each(["database", "flags.json", "flags.yaml"] as const)("flag.set in %s", (kind) => {
  beforeEach(async () => {
    if (kind === "database") return undefined;
    place = await filePlace(kind);
    context = contextOf(place);
    return () => place.remove();
  });

  test("makes the flag as flagd reads it, and undo takes it away", async () => {
    const run = await perform(set, context, { flag: "pooling", rollout: "10%", description: "why" });
    expect(run.output).toMatchObject({ flag: "pooling", state: "on", rollout: 10, description: "why" });
    expect(await stored()).toEqual({ ...atTen, metadata: { description: "why" } });
    expect(await run.undo()).toEqual({ undone: true });
    expect(await stored()).toBeUndefined();
    expect(await run.undo()).toEqual({ undone: true });
  });

  test("undo restores exactly what was there", async () => {
    await perform(set, context, { flag: "pooling", rollout: "12.34%", state: "off", owner: "shop" });
    const first = await stored();
    const run = await perform(set, context, { flag: "pooling", rollout: "50%", owner: "db" });
    expect(await stored()).toMatchObject({
      targeting: {
        fractional: [
          ["on", 50],
          ["off", 50],
        ],
      },
    });
    await run.undo();
    expect(await stored()).toEqual(first);
    await run.undo();
    expect(await stored()).toEqual(first);
  });

  test("apply again after a crash behind its write changes nothing, undo without apply neither", async () => {
    const input = set.input.parse({ flag: "pooling", rollout: "10%" });
    const before = await set.observe(context, input);
    expect(await set.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });
    expect(await stored()).toBeUndefined();
    await set.apply(context, input, before, new RecordingReport());
    await set.apply(context, input, before, new RecordingReport());
    const source = place.open();
    expect(await source.changes({ limit: 10 })).toHaveLength(1);
    await source.close();
  });

  test("is refused where somebody changed the flag since it was planned, and its undo is as well", async () => {
    await perform(set, context, { flag: "pooling", rollout: "10%" });
    const input = set.input.parse({ flag: "pooling", rollout: "20%" });
    const before = await set.observe(context, input);
    const bob = { ...context, actor: "bob@laptop" };
    await perform(set, bob, { flag: "pooling", rollout: "50%" });
    expect(await failureOf(set.apply(context, input, before, new RecordingReport()))).toMatchObject({
      code: "E_FLAG_CHANGED",
      message: "Flag pooling was changed by bob@laptop since it was looked at",
      details: { was: "on at 10%", is: "on at 50%" },
    });
    expect(await set.undo?.(context, input, before, new RecordingReport())).toMatchObject({
      undone: false,
      note: expect.stringContaining("was changed, to on at 50%, by somebody else"),
    });
    expect(await stored()).toMatchObject({
      targeting: {
        fractional: [
          ["on", 50],
          ["off", 50],
        ],
      },
    });
  });
});

describe("flag.set", () => {
  test("off is off for everybody, and on again with the rules it had", async () => {
    await perform(set, context, { flag: "pooling", rollout: "10%" });
    const { output } = await perform(set, context, { flag: "pooling", state: "off" });
    expect(output).toMatchObject({ state: "off", rollout: 10 });
    expect(await stored()).toMatchObject({ state: "ENABLED", defaultVariant: "off" });
    expect((await stored())?.targeting).toBeUndefined();
    await perform(set, context, { flag: "pooling", owner: "shop" });
    await perform(set, context, { flag: "pooling", state: "on" });
    expect(await stored()).toEqual({ ...atTen, metadata: { owner: "shop" } });
  });

  test("of a protected flag needs a reason, which is in the history", async () => {
    await perform(set, context, { flag: "pooling", rollout: "10%", protected: "yes" });
    expect(await failureOf(perform(set, context, { flag: "pooling", rollout: "20%" }))).toMatchObject({
      code: "E_FLAG_PROTECTED",
      exitCode: ExitCode.usage,
    });
    await perform(set, context, { flag: "pooling", rollout: "20%", reason: "all is well" });
    const source = place.open();
    expect(await source.changes({ limit: 1 })).toMatchObject([
      { reason: "all is well", run: context.runId, operation: "flag.set", actor: "ann@laptop" },
    ]);
    await source.close();
  });

  test.each([
    [{}, "E_INPUT", "Nothing to set for flag pooling"],
    [{ state: "on", source: "other" }, "E_TARGET", /no flag source "other"/],
    [{ targeting: "{" }, "E_INPUT", "targeting is no JSON"],
    [{ targeting: '{"iff": ["on"]}' }, "E_FLAG_INVALID", /unknown operator "iff"/],
    [{ targeting: '{"if": [{"var": "x"}, "onn"]}' }, "E_FLAG_INVALID", /gives "onn"/],
    [{ default: "green" }, "E_FLAG_INVALID", /default variant "green"/],
    [{ rollout: "10%", variant: "green" }, "E_FLAG_TARGETING", /has no variant "green"/],
  ])("with %j is refused before anything is made", async (input, code, message) => {
    const found = await failureOf(perform(set, context, { flag: "pooling", ...input }));
    expect(found).toMatchObject({ code, exitCode: ExitCode.usage });
    expect(found.message).toMatch(message);
    expect(await sql(place.url ?? "", "SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });

  test("works for somebody who may not make schemas, where the schema is there", async () => {
    const [{ role } = { role: "" }] = await sql(
      place.url ?? "",
      "SELECT 'app_' || current_database() AS role",
    );
    await sql(place.url ?? "", `CREATE ROLE ${role} LOGIN; CREATE SCHEMA ops AUTHORIZATION ${role}`);
    const url = (place.url ?? "").replace("postgres@", `${role}@`);
    await perform(set, testContext({ databases: { main: { url } } }), { flag: "pooling", state: "on" });
    expect(await stored()).toMatchObject({ defaultVariant: "on" });
  });

  test("brings a table of the first form over, with nothing lost", async () => {
    await sql(
      place.url ?? "",
      `CREATE SCHEMA ops;
       CREATE TABLE ops.flag (
         name text PRIMARY KEY, enabled boolean NOT NULL DEFAULT false,
         rollout numeric(5, 2) NOT NULL DEFAULT 100 CHECK (rollout BETWEEN 0 AND 100),
         description text, updated_at timestamptz NOT NULL DEFAULT now(), updated_by text);
       INSERT INTO ops.flag VALUES
         ('all', true, 100, NULL, '2026-01-02 03:04:05.678901Z', 'ann'),
         ('none', true, 0, 'nobody', '2026-01-02 03:04:05.678901Z', NULL),
         ('off', false, 12.34, 'it''s off', '2026-01-02 03:04:05.678901Z', 'bob')`,
    );
    const read = async () =>
      (await perform(list, context, {})).output as { flags: Record<string, unknown>[] };
    const first = await read();
    expect(first).toMatchObject({
      flags: [
        { flag: "all", state: "on", rollout: 100, description: null, updatedBy: "ann" },
        { flag: "none", state: "on", rollout: 0, description: "nobody", updatedBy: null },
        { flag: "off", state: "off", rollout: 12.34, description: "it's off", updatedBy: "bob" },
      ],
    });
    await perform(set, context, { flag: "new", state: "on" });
    expect(await read()).toMatchObject({ flags: [first.flags[0], { flag: "new" }, ...first.flags.slice(1)] });
    expect(first.flags[0]).toMatchObject({ updatedAt: "2026-01-02T03:04:05.678901Z" });
  });
});

describe("flag.get", () => {
  test("shows a flag, and what a user gets of it", async () => {
    await perform(set, context, {
      flag: "session-pooling",
      rollout: "10%",
      description: "why",
      owner: "shop",
    });
    const { output } = await perform(get, context, { flag: "session-pooling", user: "1" });
    expect(output).toMatchObject({
      state: "on",
      rollout: 10,
      owner: "shop",
      updatedBy: "ann@laptop",
      user: "1",
    });
    expect(get.render?.(output)).toMatch(
      /^flag session-pooling is on at 10%: why\nowner shop\nlast changed 20\d\d-\S+Z by ann@laptop\nsession-pooling gives off \(false\): by its rules \(bucket \d+\.\d\d\)$/,
    );
  });

  test("of an unknown flag comes with the nearest name", async () => {
    expect(await failureOf(perform(get, context, { flag: "pooling" }))).toMatchObject({
      hint: "there is none",
    });
    await perform(set, context, { flag: "session-pooling", state: "on" });
    expect(await failureOf(perform(get, context, { flag: "sesion-pooling" }))).toMatchObject({
      code: "E_FLAG_UNKNOWN",
      hint: 'did you mean "session-pooling"?',
      exitCode: ExitCode.usage,
    });
  });
});

describe("flag.list", () => {
  test("shows all flags as a table", async () => {
    await perform(set, context, {
      flag: "session-pooling",
      rollout: "0.5%",
      description: "why",
      owner: "shop",
    });
    await perform(set, context, { flag: "banner", state: "off", expires: "2027-01-31" });
    const { output } = await perform(list, context, {});
    expect(list.render?.(output)).toBe(
      [
        "FLAG             STATE  ROLLOUT  OWNER  EXPIRES     DESCRIPTION",
        "banner           off       100%  -      2027-01-31",
        "session-pooling  on        0.5%  shop   -           why",
      ].join("\n"),
    );
  });

  test("names what somebody wrote into the table by hand, which stands in the way of no other flag", async () => {
    const run = (verb: string, input: object) => flag(context, verb, input);
    await run("set", { flag: "pooling", state: "on" });
    await run("set", { flag: "other", state: "on" });
    await sql(place.url ?? "", `UPDATE ops.flag SET definition = '{"state": 1}' WHERE name = 'pooling'`);
    const { output } = await perform(list, context, {});
    expect(output).toMatchObject({ flags: [{ flag: "other" }], unreadable: ["pooling"] });
    expect(list.render?.(output)).toContain("✖ pooling has a definition that is not one of flagd");
    expect((await run("lint", {})).output).toMatchObject({
      flags: 2,
      errors: 1,
      findings: expect.arrayContaining([expect.objectContaining({ name: "pooling", rule: "definition" })]),
    });
    await run("kill", { flag: "other" });
    expect(await stored("other")).toMatchObject({ defaultVariant: "off" });
    for (const verb of ["set", "kill", "get"]) {
      const input = { flag: "pooling", ...(verb === "set" && { state: "off" }) };
      expect(await failureOf(run(verb, input)), verb).toMatchObject({
        code: "E_FLAG_INVALID",
        message: "The definition of flag pooling is not one of flagd",
        hint: expect.stringContaining("ops flag remove pooling"),
        exitCode: 2,
      });
    }
    expect(await failureOf(run("export", {}))).toMatchObject({ code: "E_FLAG_INVALID" });
    const removed = await run("remove", { flag: "pooling" });
    expect(removed.changes).toMatchObject([{ action: "delete", summary: "delete flag pooling" }]);
    expect((await run("list", {})).output).toMatchObject({ unreadable: [] });
    const history = await run("history", { flag: "pooling", limit: 1 });
    expect(flagOperation("flag.history").render?.(history.output)).toContain("what cannot be read → nothing");
    expect(await failureOf(removed.undo())).toMatchObject({ code: "E_FLAG_INVALID" });
  });
});

test("the file of an example is what other readers of flagd's format read", async () => {
  const file = await filePlace("flags.json");
  await perform(set, contextOf(file), { flag: "pooling", rollout: "10%" });
  expect(JSON.parse(await readFile(file.file ?? "", "utf8"))).toEqual({
    $schema: "https://flagd.dev/schema/v0/flags.json",
    flags: { pooling: atTen },
  });
  await file.remove();
});

test("a file in YAML quotes what YAML 1.1, and so flagd, reads as true and false", async () => {
  const file = await filePlace("flags.yaml");
  await perform(set, contextOf(file), { flag: "pooling", rollout: "10%" });
  const text = await readFile(file.file ?? "", "utf8");
  expect(text).toContain('"on": true');
  expect(text).toContain('[ "on", 10 ]');
  expect(text).toContain('defaultVariant: "off"');
  await file.remove();
});
