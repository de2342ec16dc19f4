import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { renderReference } from "../../src/cli/render/reference.ts";
import { allChecks, allOperations } from "../../src/cli/session.ts";
import { processTerminal } from "../../src/cli/terminal.ts";
import { projectRoot } from "../support/ops.ts";

describe("docs/reference.md", () => {
  const written = () => readFile(join(projectRoot, "docs", "reference.md"), "utf8");

  it("is what the operations say today (npm run build && npm run docs writes it anew)", async () => {
    expect(await written()).toBe(await renderReference(processTerminal()));
  });

  it("names every operation, every input of it and every kind of check", async () => {
    const text = await written();

    for (const operation of await allOperations()) {
      const [, section = ""] = text.split(`#### ${operation.name}\n`);
      for (const key of Object.keys(operation.input.shape)) expect(section).toContain(`\`${key}\``);
    }
    for (const kind of (await allChecks()).keys()) expect(text).toContain(`### ${kind}\n`);
  });

  it("describes every input of every operation and every check", async () => {
    const checks = [...(await allChecks()).values()].map((each) => ({ name: each.kind, input: each.input }));
    const undescribed = [...(await allOperations()), ...checks].flatMap(({ name, input }) => {
      const { properties = {} } = z.toJSONSchema(input, { io: "input", unrepresentable: "any" });
      return Object.entries(properties)
        .filter(([, field]) => typeof field === "boolean" || (field.description ?? "") === "")
        .map(([key]) => `${name}: ${key}`);
    });

    expect(undescribed).toEqual([]);
  });
});
