import { expect, test } from "vitest";
import { parseThreshold } from "../../../src/core/threshold.ts";
import { checks } from "../../../src/traffic/checks.ts";

const check = checks.find((each) => each.kind === "traffic-version");
const judge = (share: number, input: object = {}, fail?: string) =>
  check?.judge(
    { value: share, shown: `${share}% of route web` },
    check.input.parse({ version: "green", ...input }),
    {
      fail: fail === undefined ? undefined : parseThreshold(fail),
    },
  );

test("a version must have all of the traffic where nothing else is said", () => {
  expect(judge(100)).toEqual({ status: "pass", reason: "version green has 100% of route web" });
  expect(judge(99.6)).toEqual({
    status: "fail",
    reason: "version green has 99.6% of route web, and needs 100%",
  });
});

test("a share can be asked for, and a limit of the gate goes before it", () => {
  expect(judge(50, { share: "50%" })).toMatchObject({ status: "pass" });
  expect(judge(50, {}, "< 40%")).toMatchObject({ status: "pass" });
  expect(judge(30, {}, "< 40%")).toMatchObject({
    status: "fail",
    reason: expect.stringContaining("limit < 40%"),
  });
});
