import { describe, expect, test } from "vitest";
import { parseThreshold } from "../../../src/core/threshold.ts";
import { judgeByLimits } from "../../../src/run/limits.ts";

const limits = { fail: parseThreshold("> 5%"), warn: parseThreshold("> 1%") };

describe("a number against its limits", () => {
  test("passes within both", () => {
    expect(judgeByLimits(1, "1%", limits)).toEqual({
      status: "pass",
      reason: "1%, within limit > 5% and > 1%",
    });
  });

  test("warns beyond the first", () => {
    expect(judgeByLimits(2, "2%", limits)).toEqual({ status: "warn", reason: "2%, limit > 1%" });
  });

  test("fails beyond the second, whatever the first says", () => {
    expect(judgeByLimits(9, "9%", limits)).toEqual({ status: "fail", reason: "9%, limit > 5%" });
  });
});
