import { describe, expect, it } from "vitest";
import { usualBuffers } from "../../../src/pitr/replay.ts";

const mebibyte = 2 ** 20;

describe("the memory of a replay", () => {
  it.each([
    [64 * mebibyte, 32 * mebibyte],
    [4096 * mebibyte, 512 * mebibyte],
    [65_536 * mebibyte, 1024 * mebibyte],
  ])("of %i bytes that are free is %i", (free, used) => {
    expect(usualBuffers(free)).toBe(used);
  });
});
