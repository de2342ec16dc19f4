import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/ops.ts";

describe("the start-up benchmark", () => {
  it("measures the three commands in one run and prints them as ratios", () => {
    const benchmark = join(projectRoot, "bench", "startup.mjs");

    const { status, stdout } = spawnSync(process.execPath, [benchmark, "--rounds", "3"], {
      encoding: "utf8",
      timeout: 60_000,
    });

    expect(stdout).toMatch(/\| node -e 0 .*\| 1\.00 /);
    expect(stdout).toMatch(/\| ops --version .*\| ≤ 2\.0/);
    expect(stdout).toMatch(/\| ops --help .*\| ≤ 3\.0/);
    expect(status).toBe(0);
  });
});
