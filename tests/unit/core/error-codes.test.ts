import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { errorCodes } from "../../../src/core/error-codes.ts";
import { projectRoot } from "../../support/ops.ts";

it("the list of error codes is what the source throws", () => {
  const source = join(projectRoot, "src");
  const files = readdirSync(source, { recursive: true, encoding: "utf8" });
  const thrown = files
    .filter((file) => file.endsWith(".ts") && !file.endsWith("error-codes.ts"))
    .flatMap((file) => [...readFileSync(join(source, file), "utf8").matchAll(/"(E_[A-Z][A-Z0-9_]*)"/g)])
    .map((match) => match[1]);

  expect([...errorCodes]).toEqual([...new Set(thrown)].sort());
});
