import { describe, expect, it } from "vitest";
import { nearest, suggestion } from "../../../src/core/suggestion.ts";

describe("a suggestion", () => {
  it.each([
    ["databse", "database"],
    ["STORE", "store"],
    ["prod", "production"],
    ["on_failure", "on-failure"],
  ])("for %s is %s", (word, meant) => {
    expect(nearest(word, ["store", "database", "production", "on-failure"])).toBe(meant);
  });

  it("is the closest word, not the first close one", () => {
    expect(nearest("blue2", ["blues", "blue2b", "blue"])).toBe("blues");
    expect(nearest("green", ["greet", "green"])).toBe("green");
  });

  it("is the whole list where nothing is close", () => {
    expect(suggestion("xyzzy", ["backup", "restore"])).toBe("one of: backup, restore");
  });

  it("says so where there is nothing to choose from", () => {
    expect(suggestion("a", [])).toBe("there is none");
  });
});
