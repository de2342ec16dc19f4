import { afterEach, beforeEach, expect, test } from "vitest";
import { checks } from "../../../src/flag/checks.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { contextOf, flag } from "../../support/flag-operations.ts";
import { type FlagPlace, filePlace } from "../../support/flag-sources.ts";
import { measuredCheck } from "../../support/measured-check.ts";

let place: FlagPlace;
beforeEach(async () => {
  place = await filePlace("flags.yaml");
  await flag(contextOf(place), "new", { flag: "checkout" });
});
afterEach(() => place.remove());

function check(input: object, limits: object = {}): Promise<CheckResult> {
  return measuredCheck(contextOf(place), checks, {
    kind: "flag",
    with: { flag: "checkout", ...input },
    ...limits,
  });
}

test("the state, the share of users and what somebody gets are held against what they must be", async () => {
  await flag(contextOf(place), "rollout", { flag: "checkout", share: "10%" });
  await flag(contextOf(place), "allow", { flag: "checkout", customers: ["4711"], by: "targetingKey" });

  expect(await check({ is: "on", rollout: "10%" })).toMatchObject({
    status: "pass",
    reason: expect.stringContaining("checkout is on at 10%"),
    value: 10,
    evidence: {
      source: expect.stringContaining("flags.yaml"),
      state: "on",
      share: 10,
      changedBy: "ann@laptop",
    },
  });
  expect(await check({ rollout: "50%" })).toMatchObject({
    status: "fail",
    reason: "checkout is on at 10%, and must be at 50%",
  });
  expect(await check({}, { fail: "< 5%", warn: "< 50%" })).toMatchObject({
    status: "warn",
    reason: "checkout is on at 10%, limit < 50%",
  });
  expect(await check({ is: ["off", "killed"] })).toMatchObject({
    status: "fail",
    reason: "checkout is on at 10%, and must be off or killed",
  });
  expect(await check({ variant: "on", context: { targetingKey: 4711 } })).toMatchObject({
    status: "pass",
    reason: expect.stringContaining("checkout gives on"),
    evidence: { evaluation: { variant: "on", reason: "TARGETING_MATCH" } },
  });
  expect(await check({ variant: "off", context: { targetingKey: "4711" } })).toMatchObject({
    status: "fail",
    reason: expect.stringContaining("and must give off"),
  });
  expect((await check({})).status).toBe("unknown");
});

test("a killed flag is at none of the users, whatever it was at before", async () => {
  await flag(contextOf(place), "rollout", { flag: "checkout", share: "50%" });
  await flag(contextOf(place), "kill", { flag: "checkout", reason: "errors" });

  expect(await check({ is: "killed" }, { fail: "> 0%" })).toMatchObject({ status: "pass", value: 0 });
  expect(await check({ is: "on" })).toMatchObject({
    status: "fail",
    reason: "checkout is killed (was on at 50%), and must be on",
  });
});

test("a flag that is not there is unknown: a mistake in the gate as often as in the flags", async () => {
  expect(await check({ flag: "chekout", is: "on" })).toMatchObject({
    status: "unknown",
    reason: 'There is no flag "chekout"',
  });
});
