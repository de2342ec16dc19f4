import { describe, it } from "vitest";
import { expectBoundedMemory } from "./memory.ts";

describe("the memory of a base backup and of a restore", () => {
  it("stays below 150 MiB: 250 MiB", () => expectBoundedMemory(250), 180_000);
});
