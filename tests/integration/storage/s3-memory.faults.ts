import { describe, it } from "vitest";
import { expectBoundedMemory } from "./s3-memory.ts";

describe("the memory of an upload and a download", () => {
  it("does not grow with the size: 3 GiB", () => expectBoundedMemory(3 * 1024));
});
