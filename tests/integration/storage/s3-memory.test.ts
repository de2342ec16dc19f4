import { describe, it } from "vitest";
import { expectBoundedMemory } from "./s3-memory.ts";

describe("the memory of an upload and a download", () => {
  it("stays under 150 MiB for an object of many parts", () => expectBoundedMemory(400), 120_000);

  it(
    "stays under 150 MiB with the largest parts",
    () => expectBoundedMemory(300, { "part-size": "16MiB" }),
    120_000,
  );
});
