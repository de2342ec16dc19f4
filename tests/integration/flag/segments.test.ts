import { readFile, writeFile } from "node:fs/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "../../support/context.ts";
import { contextOf, failureOf, flag, storedFlag } from "../../support/flag-operations.ts";
import { type FlagPlace, filePlace } from "../../support/flag-sources.ts";

let place: FlagPlace;
let context: TestContext;

beforeEach(async () => {
  place = await filePlace("flags.json");
  context = contextOf(place);
  return () => place.remove();
});

const run = (verb: string, input: object) => flag(context, verb, input);
const pro = '{"==": [{"var": "plan"}, "pro"]}';

describe("what a flag uses that is off or killed", () => {
  test.each(["set", "kill"])("is not taken away from it (flag.%s)", async (verb) => {
    await run("segment.set", { segment: "beta", rule: pro });
    await run("set", { flag: "needed", state: "on" });
    await run("set", { flag: "f", rollout: "10%" });
    await run("allow", { flag: "f", segment: "beta" });
    await run("require", { flag: "f", needed: "needed" });
    const before = await storedFlag(place, "f");
    await run(verb, { flag: "f", ...(verb === "set" && { state: "off" }) });

    expect(await failureOf(run("segment.remove", { segment: "beta" }))).toMatchObject({
      code: "E_FLAG_INVALID",
      message: expect.stringContaining("flag f: uses the segment beta, which is not there"),
    });
    expect((await run("segment.list", {})).output).toMatchObject({
      segments: [{ segment: "beta", flags: ["f"] }],
    });
    expect(await failureOf(run("remove", { flag: "needed" }))).toMatchObject({
      code: "E_FLAG_INVALID",
      message: "flag f: needs the flag needed, which is not there",
    });
    await run("restore", { flag: "f" });
    expect(await storedFlag(place, "f")).toEqual(before);
  });
});

test("a change of what a protected flag uses needs the reason as well, and its undo has one", async () => {
  await run("segment.set", { segment: "beta", rule: pro });
  await run("set", { flag: "needed", state: "on" });
  await run("set", { flag: "f", rollout: "10%" });
  await run("allow", { flag: "f", segment: "beta" });
  await run("require", { flag: "f", needed: "needed" });
  await run("set", { flag: "f", protected: "yes" });
  const free = { segment: "beta", rule: '{"==": [{"var": "plan"}, "free"]}' };
  expect(await failureOf(run("segment.set", free))).toMatchObject({
    code: "E_FLAG_PROTECTED",
    message: "Flag f is protected and uses segment beta: a change needs a reason",
    exitCode: 2,
  });
  expect(await failureOf(run("set", { flag: "needed", state: "off" }))).toMatchObject({
    message: "Flag f is protected and needs flag needed: a change needs a reason",
  });
  // What nobody sees of it is free.
  await run("set", { flag: "needed", description: "accounts" });
  const changed = await run("segment.set", { ...free, reason: "the plan is gone" });
  expect(await changed.undo()).toEqual({ undone: true });
  await run("kill", { flag: "needed", reason: "payments fail" });
});

test("only a boolean flag can be needed, and one in a circle by hand stands in the way of no other", async () => {
  await run("new", { flag: "colour", type: "string", variants: { a: "red", b: "blue" }, off: "b" });
  await run("set", { flag: "f", state: "on" });
  expect(await failureOf(run("require", { flag: "f", needed: "colour" }))).toMatchObject({
    code: "E_FLAG_INVALID",
    message: "flag f: needs the flag colour, which is of kind string: only a boolean flag is on or off",
  });
  const needs = (name: string) => ({
    state: "ENABLED",
    variants: { on: true, off: false },
    defaultVariant: "off",
    targeting: { if: [{ "!": [{ $ref: `flag:${name}` }] }, "off", "on"] },
  });
  const file = place.file ?? "";
  const document = JSON.parse(await readFile(file, "utf8")) as { flags: object };
  const never = { "===": [1, 0] };
  await writeFile(
    file,
    JSON.stringify({
      flags: { ...document.flags, a: needs("b"), b: needs("a") },
      $evaluators: { "flag:a": never, "flag:b": never },
    }),
  );
  const { output } = await run("lint", {});
  expect((output as { findings: { message: string }[] }).findings.map((each) => each.message)).toEqual(
    expect.arrayContaining(["asks for itself: a → b → a", "asks for itself: b → a → b"]),
  );
  await run("kill", { flag: "f" });
  await run("kill", { flag: "a" });
  expect(await storedFlag(place, "a")).toMatchObject({ defaultVariant: "off" });
  expect((await run("eval", { flag: "b", context: {} })).output).toMatchObject({ value: false });
});
