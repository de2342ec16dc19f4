import { describe, it } from "vitest";
import { expectBoundedMemory } from "./memory.ts";

describe("the memory of a base backup and of a restore", () => {
  it("does not grow with the size: 3 GiB", () => expectBoundedMemory(3 * 1024));
});
