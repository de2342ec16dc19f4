import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Secret } from "../../../src/config/secret.ts";
import { Evaluator } from "../../../src/flag-source/evaluator.ts";
import { openFlagSource } from "../../../src/flag-source/open-source.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { TestContext } from "../../support/context.ts";
import { contextOf, failureOf, flag, flagOperation, storedFlag } from "../../support/flag-operations.ts";
import { databasePlace, type FlagPlace, filePlace, sql } from "../../support/flag-sources.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { PostgresProxy } from "../../support/postgres-proxy.ts";

let place: FlagPlace;
let context: TestContext;

beforeEach(async () => {
  place = await filePlace("flags.json");
  context = contextOf(place);
  return () => place.remove();
});

const run = (verb: string, input: object) => flag(context, verb, input);
const stored = (name = "f") => storedFlag(place, name);

async function variantFor(name: string, asked: Record<string, string>): Promise<string | null> {
  const { output } = await run("eval", { flag: name, context: asked });
  return (output as { variant: string | null }).variant;
}

describe("flag.kill", () => {
  test("turns every path off, only restore brings it back, and exactly", async () => {
    await run("set", { flag: "f", rollout: "50%", owner: "shop" });
    await run("allow", { flag: "f", customers: ["acme"] });
    const before = await stored();
    const killed = await run("kill", { flag: "f", reason: "payments fail" });
    expect(killed.changes).toMatchObject([
      { summary: "kill flag f", to: expect.stringMatching(/^killed \(was on at 50%\)/) },
    ]);
    expect(killed.output).toMatchObject({ state: "killed", rollout: 50 });
    expect(await stored()).toMatchObject({
      state: "ENABLED",
      defaultVariant: "off",
      metadata: { "killed-by": "ann@laptop", "killed-reason": "payments fail" },
    });
    expect(await variantFor("f", { targetingKey: "acme" })).toBe("off");
    const changes: [string, object][] = [
      ["set", { rollout: "100%" }],
      ["set", { state: "on" }],
      ["set", { description: "x" }],
      ["rollout", { share: "100%" }],
      ["allow", { customers: ["acme"] }],
      ["deny", { customers: ["acme"] }],
      ["enable", {}],
      ["disable", {}],
      ["require", { needed: "f" }],
    ];
    for (const [verb, input] of changes) {
      expect(await failureOf(run(verb, { flag: "f", ...input })), verb).toMatchObject({
        code: "E_FLAG_KILLED",
        message: expect.stringMatching(/was killed by ann@laptop at \S+ \(payments fail\)/),
        hint: expect.stringContaining("ops flag restore f"),
      });
    }
    expect((await run("kill", { flag: "f" })).changes).toEqual([]);
    await run("restore", { flag: "f" });
    expect(JSON.stringify(await stored())).toBe(JSON.stringify(before));
    await killed.undo();
    expect(await stored()).toEqual(before);
  });

  test("of a flag that was off, or disabled, comes back as that", async () => {
    await run("new", { flag: "f" });
    const off = await stored();
    await run("kill", { flag: "f" });
    await run("restore", { flag: "f" });
    expect(await stored()).toEqual(off);
    await run("disable", { flag: "f" });
    expect((await run("kill", { flag: "f" })).output).toMatchObject({ state: "killed" });
    expect(await variantFor("f", {})).toBe("off");
    expect((await run("restore", { flag: "f" })).output).toMatchObject({ state: "disabled" });
  });

  test("of a protected flag needs a reason, and one without an off variant a variant", async () => {
    await run("new", { flag: "f", protected: "yes" });
    expect(await failureOf(run("kill", { flag: "f" }))).toMatchObject({ code: "E_FLAG_PROTECTED" });
    await run("kill", { flag: "f", reason: "fire" });
    await run("new", { flag: "colour", type: "string", variants: { a: "red", b: "blue" }, off: "b" });
    expect(await failureOf(run("kill", { flag: "colour", variant: "c" }))).toMatchObject({
      code: "E_FLAG_NO_OFF",
      hint: "name one with --variant: a, b",
    });
    await run("kill", { flag: "colour", variant: "a" });
    expect(await variantFor("colour", {})).toBe("a");
  });
});

describe("who has a flag", () => {
  test("is on a list, or in the rollout, or neither: never before always before a share", async () => {
    await run("set", { flag: "f", rollout: "0%" });
    await run("allow", { flag: "f", customers: ["acme", "globex"], by: "customer" });
    await run("allow", { flag: "f", customers: ["acme", "initech"], by: "customer" });
    await run("deny", { flag: "f", customers: ["globex"], by: "customer" });
    await run("deny", { flag: "f", customers: ["4711"] });
    const has = async (asked: Record<string, string>) => (await variantFor("f", asked)) === "on";
    expect(await has({ customer: "acme" })).toBe(true);
    expect(await has({ customer: "initech" })).toBe(true);
    expect(await has({ customer: "globex" })).toBe(false);
    expect(await has({ customer: "acme", targetingKey: "4711" })).toBe(false);
    expect(await has({ targetingKey: "1" })).toBe(false);
    await run("rollout", { flag: "f", share: "100%" });
    expect(await has({ targetingKey: "1" })).toBe(true);
    expect(await has({ targetingKey: "4711" })).toBe(false);
    const { output } = await run("get", { flag: "f" });
    expect(flagOperation("flag.get").render?.(output).split("\n").slice(0, 4)).toEqual([
      "flag f is on at 100%",
      "  never for customer globex",
      "  never for 4711",
      "  always on for customer acme, initech",
    ]);
    await run("deny", { flag: "f", customers: ["4711"], remove: true });
    expect(await has({ targetingKey: "4711" })).toBe(true);
  });

  test("depends on flags that it requires, whatever is done to them", async () => {
    await run("set", { flag: "accounts", rollout: "0%" });
    await run("set", { flag: "f", state: "on" });
    const needed = await run("require", { flag: "f", needed: "accounts" });
    await run("allow", { flag: "accounts", customers: ["1"] });
    expect(await variantFor("f", { targetingKey: "1" })).toBe("on");
    expect(await variantFor("f", { targetingKey: "2" })).toBe("off");
    await run("rollout", { flag: "accounts", share: "100%" });
    expect(await variantFor("f", { targetingKey: "2" })).toBe("on");
    await run("kill", { flag: "accounts" });
    expect(await variantFor("f", { targetingKey: "1" })).toBe("off");
    expect(await failureOf(run("require", { flag: "accounts", needed: "f" }))).toMatchObject({
      code: "E_FLAG_KILLED",
    });
    await run("restore", { flag: "accounts" });
    expect(await failureOf(run("require", { flag: "accounts", needed: "f" }))).toMatchObject({
      code: "E_FLAG_INVALID",
      message: expect.stringContaining("asks for itself: accounts → f → accounts"),
    });
    expect(await failureOf(run("require", { flag: "f", needed: "acounts" }))).toMatchObject({
      code: "E_FLAG_INVALID",
      hint: 'did you mean "accounts"?',
    });
    await needed.undo();
    await run("require", { flag: "f", needed: "accounts", remove: true });
    expect(JSON.parse(JSON.stringify(await stored()))).not.toHaveProperty("targeting");
  });

  test("in a share written by hand behind that of the others is kept by a larger one", async () => {
    await run("new", { flag: "f" });
    const byHand = {
      fractional: [
        ["off", 90],
        ["on", 10],
      ],
    };
    await run("set", { flag: "f", state: "on", targeting: JSON.stringify(byHand) });
    expect((await run("get", { flag: "f" })).output).toMatchObject({ rollout: 10, rules: ["on at 10%"] });
    await run("rollout", { flag: "f", share: "20%" });
    // The buckets from 80 up, which those from 90 up are a part of.
    expect(await stored()).toMatchObject({
      targeting: {
        fractional: [
          ["off", 80],
          ["on", 20],
        ],
      },
    });
    expect((await run("get", { flag: "f" })).output).toMatchObject({ rollout: 20 });
  });

  test("of a disabled flag is whoever the rollout names: it turns the flag on", async () => {
    await run("set", { flag: "f", state: "on" });
    await run("disable", { flag: "f" });
    await run("set", { flag: "f", state: "off" });
    expect((await run("rollout", { flag: "f", share: "10%" })).output).toMatchObject({
      state: "on",
      rollout: 10,
    });
    expect(await stored()).toMatchObject({ state: "ENABLED" });
  });

  test("of several variants is said by name, and one's own rules are left alone", async () => {
    await run("new", { flag: "f", type: "number", variants: { low: "1", mid: "2", high: "3" }, off: "low" });
    expect(await failureOf(run("rollout", { flag: "f", share: "10%" }))).toMatchObject({
      code: "E_FLAG_TARGETING",
      hint: "add --variant, one of: low, mid, high",
    });
    await run("rollout", { flag: "f", share: "10%", variant: "high" });
    await run("rollout", { flag: "f", share: "20%" });
    const { output } = await run("get", { flag: "f" });
    expect(output).toMatchObject({ rollout: 20, rules: ["on at 20% high"], kind: "number" });
    const own = {
      if: [
        { "==": [{ var: "plan" }, "pro"] },
        "mid",
        {
          fractional: [
            ["high", 1],
            ["mid", 1],
            ["low", 2],
          ],
        },
      ],
    };
    await run("set", { flag: "f", targeting: JSON.stringify(own) });
    expect(await failureOf(run("rollout", { flag: "f", share: "10%" }))).toMatchObject({
      code: "E_FLAG_TARGETING",
    });
    await run("deny", { flag: "f", customers: ["1"] });
    expect(await stored()).toMatchObject({
      targeting: { if: [{ in: [{ var: "targetingKey" }, ["1"]] }, "low", ...own.if] },
    });
  });
});

test.each([
  [{ flag: "f" }, "E_FLAG_EXISTS"],
  [{ flag: "g", type: "string" }, "E_INPUT"],
  [{ flag: "g", type: "string", variants: { a: "1", b: "2" } }, "E_INPUT"],
  [{ flag: "g", type: "number", variants: { a: "1", b: "two" }, off: "a" }, "E_INPUT"],
  [{ flag: "g", type: "object", variants: { a: "{}", b: "[" }, off: "a" }, "E_INPUT"],
])("flag.new with %j is refused: %s", async (input, code) => {
  await run("new", { flag: "f" });
  expect(await failureOf(run("new", input))).toMatchObject({ code, exitCode: 2 });
});

test("flag.remove takes a flag away that no other one needs, and undo brings it back", async () => {
  await run("set", { flag: "old", rollout: "10%", owner: "shop" });
  await run("set", { flag: "f", state: "on" });
  await run("require", { flag: "f", needed: "old" });
  expect(await failureOf(run("remove", { flag: "old" }))).toMatchObject({
    code: "E_FLAG_INVALID",
    message: "flag f: needs the flag old, which is not there",
  });
  await run("require", { flag: "f", needed: "old", remove: true });
  const before = await stored("old");
  const removed = await run("remove", { flag: "old" });
  expect(flagOperation("flag.remove").render?.(removed.output)).toBe("flag old is gone");
  expect(await stored("old")).toBeUndefined();
  await removed.undo();
  expect(await stored("old")).toEqual(before);
});

test("flag.history tells who did what, and why", async () => {
  await run("new", { flag: "f", owner: "shop" });
  await run("rollout", { flag: "f", share: "10%" });
  await run("set", { flag: "f", rollout: "20%", reason: "all is well" });
  const { output } = await run("history", { flag: "f" });
  const lines = (flagOperation("flag.history").render?.(output) ?? "").split("\n");
  expect(lines.map((each) => each.replace(/^\S+Z/, "AT"))).toEqual([
    "AT  f  flag.set by ann@laptop (run 20260101-000000-test)",
    "  on at 10%, owner shop → on at 20%, owner shop",
    "  because: all is well",
    "AT  f  flag.rollout by ann@laptop (run 20260101-000000-test)",
    "  off (rollout 100%), owner shop → on at 10%, owner shop",
    "AT  f  flag.new by ann@laptop (run 20260101-000000-test)",
    "  nothing → off (rollout 100%), owner shop",
  ]);
  expect(await failureOf(run("history", { flag: "g" }))).toMatchObject({ code: "E_FLAG_UNKNOWN" });
});

describe("a reader that is connected", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startTestCluster();
  });
  afterAll(() => cluster.stop());

  test("has a killed flag off in less than a second, also after its connection was lost, and later where it was cut off without a word", async () => {
    const database = await databasePlace(cluster);
    const source = database.open();
    const ended = new AbortController();
    const evaluator = new Evaluator();
    let offAt = Promise.withResolvers<number>();
    const cut = await PostgresProxy.start(Number(new URL(database.url ?? "").port));
    const reader = openFlagSource(
      {
        name: "main",
        driver: "postgres",
        database: {
          name: "main",
          url: new Secret(cut.url("flags"), place.directory),
          password: undefined,
          migrations: "",
        },
      },
      { stateDirectory: place.directory, now: () => new Date(), signal: ended.signal, queryTimeout: 500 },
    );
    onTestFinished(async () => {
      ended.abort();
      await watching;
      await reading;
      await Promise.all([source.close(), reader.close()]);
      await cut[Symbol.asyncDispose]();
      await database.remove();
    });
    const own = contextOf(database);
    await flag(own, "set", { flag: "f", state: "on" });
    let reading = Promise.resolve();
    const changed = (): void => {
      reading = reading.then(async () => {
        // One that was cut off is given up, as a server of flags does.
        const set = await reader.read().catch(() => reader.close());
        if (set !== undefined) evaluator.load(set);
        if (evaluator.evaluate("f", {}).value === false) offAt.resolve(performance.now());
      });
    };
    const watching = reader.watch(changed, ended.signal);
    for (const isCut of [false, true]) {
      await expect.poll(() => evaluator.evaluate("f", {}).value).toBe(true);
      if (isCut) {
        await sql(
          database.url ?? "",
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ops flag watch'",
        );
      }
      offAt = Promise.withResolvers();
      await flag(own, "kill", { flag: "f" });
      const killedAt = performance.now();
      expect((await offAt.promise) - killedAt).toBeLessThan(1000);
      await flag(own, "restore", { flag: "f" });
    }
    await expect.poll(() => evaluator.evaluate("f", {}).value).toBe(true);
    cut.silence();
    await flag(own, "kill", { flag: "f" });
    await expect.poll(() => evaluator.evaluate("f", {}).value, { timeout: 15_000 }).toBe(false);
  });
});
