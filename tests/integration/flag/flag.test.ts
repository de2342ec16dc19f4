import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ExitCode, errorRecord } from "../../../src/core/errors.ts";
import { operations } from "../../../src/flag/operations.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { perform, RecordingReport, type TestContext, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";

function operation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

const set = operation("flag.set");
const get = operation("flag.get");
const list = operation("flag.list");

let cluster: Cluster;
let context: TestContext;
let url: string;
let databases = 0;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  databases += 1;
  await sql(cluster.url(), `CREATE DATABASE flags_${databases}`);
  url = cluster.url(`flags_${databases}`);
  context = { ...testContext({ databases: { main: { url } } }), actor: "ann@laptop" };
});

async function sql(at: string, text: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: at });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const rows = () => sql(url, "SELECT *, updated_at::text AS updated_at FROM ops.flag ORDER BY name");

async function failure(promise: Promise<unknown>) {
  const error: unknown = await promise.then(
    () => undefined,
    (each) => each,
  );
  if (error === undefined) throw new Error("it did not fail");
  return errorRecord(error);
}

describe("flag.set", () => {
  test("makes the table and the flag, and undo deletes the flag", async () => {
    const run = await perform(set, context, { flag: "pooling", rollout: "10%", description: "why" });
    expect(run.output).toEqual({ flag: "pooling", state: "on", rollout: 10, description: "why" });
    expect(await rows()).toMatchObject([
      { name: "pooling", enabled: true, rollout: "10.00", description: "why", updated_by: "ann@laptop" },
    ]);
    expect(await run.undo()).toEqual({ undone: true });
    expect(await rows()).toEqual([]);
    expect(await run.undo()).toEqual({ undone: true });
  });

  test("undo puts the row back exactly, its time and author included", async () => {
    await perform(set, context, { flag: "pooling", rollout: "12.34%", state: "off", description: "first" });
    const first = await rows();
    const bob = { ...context, actor: "bob@laptop" };
    const run = await perform(set, bob, { flag: "pooling", rollout: "50%", description: "second" });
    expect(await rows()).toMatchObject([{ enabled: true, rollout: "50.00", updated_by: "bob@laptop" }]);
    await run.undo();
    expect(await rows()).toEqual(first);
    await run.undo();
    expect(await rows()).toEqual(first);
  });

  test("apply again after a crash behind its write changes nothing", async () => {
    const input = set.input.parse({ flag: "pooling", rollout: "10%" });
    const before = await set.observe(context, input);
    await set.apply(context, input, before, new RecordingReport());
    const once = await rows();
    await set.apply(context, input, before, new RecordingReport());
    expect(await rows()).toEqual(once);
  });

  test("undo without apply changes nothing", async () => {
    const input = set.input.parse({ flag: "pooling", rollout: "10%" });
    const before = await set.observe(context, input);
    expect(await set.undo?.(context, input, before, new RecordingReport())).toEqual({ undone: true });
    expect(await sql(url, "SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });

  test("undo says so where somebody else changed the flag in the meantime", async () => {
    const run = await perform(set, context, { flag: "pooling", rollout: "10%" });
    await perform(set, { ...context, actor: "bob@laptop" }, { flag: "pooling", rollout: "50%" });
    expect(await run.undo()).toEqual({
      undone: true,
      note: "flag pooling had been set to on at 50% by bob@laptop in the meantime; it is back as it was before this run",
    });
    expect(await rows()).toEqual([]);
  });

  test("undo says so where somebody else deleted the flag in the meantime", async () => {
    await perform(set, context, { flag: "pooling", rollout: "10%" });
    const first = await rows();
    const run = await perform(set, context, { flag: "pooling", rollout: "50%" });
    await sql(url, "DELETE FROM ops.flag");
    expect(await run.undo()).toMatchObject({ note: expect.stringContaining("had been deleted") });
    expect(await rows()).toEqual(first);
  });

  test("ten at once on a database without the table all succeed", async () => {
    await Promise.all(
      Array.from({ length: 10 }, (_, index) => perform(set, context, { flag: `f${index}`, state: "on" })),
    );
    expect(await rows()).toHaveLength(10);
  });

  test("with nothing to set is refused", async () => {
    expect(await failure(perform(set, context, { flag: "pooling" }))).toMatchObject({
      code: "E_INPUT",
      message: "Nothing to set for flag pooling",
      hint: "add state (on or off), rollout (10%) or description",
      exitCode: ExitCode.usage,
    });
  });

  test("in an unknown source is refused", async () => {
    const found = await failure(perform(set, context, { flag: "pooling", state: "on", source: "other" }));
    expect(found).toMatchObject({ code: "E_TARGET", exitCode: ExitCode.usage });
  });

  test("works for somebody who may not make schemas, where the schema is there", async () => {
    const role = `app_${databases}`;
    await sql(url, `CREATE ROLE ${role} LOGIN; CREATE SCHEMA ops AUTHORIZATION ${role}`);
    const own = testContext({ databases: { main: { url: url.replace("postgres@", `${role}@`) } } });
    await perform(set, own, { flag: "pooling", state: "on" });
    expect(await rows()).toHaveLength(1);
  });
});

describe("flag.get", () => {
  test("shows a flag", async () => {
    await perform(set, context, { flag: "pooling", rollout: "10%", description: "why" });
    const { output } = await perform(get, context, { flag: "pooling" });
    expect(output).toMatchObject({ flag: "pooling", state: "on", rollout: 10, updatedBy: "ann@laptop" });
    expect(get.render?.(output)).toMatch(
      /^flag pooling is on, rollout 10%: why\nlast changed 20\d\d-\S+Z by ann@laptop$/,
    );
  });

  test.each([
    ["1", true],
    ["4711", false],
  ])("evaluates it for user %s: %s", async (user, value) => {
    await perform(set, context, { flag: "session-pooling", rollout: "10%" });
    const { output } = await perform(get, context, { flag: "session-pooling", user });
    expect(output).toMatchObject({ user, value });
  });

  test("of an unknown flag comes with the nearest name", async () => {
    await perform(set, context, { flag: "session-pooling", state: "on" });
    expect(await failure(perform(get, context, { flag: "sesion-pooling" }))).toMatchObject({
      code: "E_FLAG_UNKNOWN",
      message: 'There is no flag "sesion-pooling"',
      hint: 'did you mean "session-pooling"?',
      exitCode: ExitCode.usage,
    });
  });

  test("where there are no flags says so", async () => {
    expect(await failure(perform(get, context, { flag: "pooling" }))).toMatchObject({
      code: "E_FLAG_UNKNOWN",
      hint: "there is none",
    });
  });
});

describe("flag.list", () => {
  test("shows all flags as a table", async () => {
    await perform(set, context, { flag: "session-pooling", rollout: "0.5%", description: "why" });
    await perform(set, context, { flag: "banner", state: "off" });
    const { output } = await perform(list, context, {});
    expect(list.render?.(output)).toBe(
      [
        "FLAG             STATE  ROLLOUT  DESCRIPTION",
        "banner           off       100%",
        "session-pooling  on        0.5%  why",
      ].join("\n"),
    );
  });

  test("makes no table", async () => {
    expect((await perform(list, context, {})).output).toEqual({ flags: [] });
    expect(await sql(url, "SELECT to_regnamespace('ops') AS schema")).toEqual([{ schema: null }]);
  });
});
