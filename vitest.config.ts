import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** `.ci/run` adds the results of both test runs up. */
export function reporters(name: string) {
  const folder = process.env.OPS_TEST_RESULTS;
  return folder === undefined
    ? { reporters: ["default"] }
    : { reporters: ["default", "json"], outputFile: { json: join(folder, `${name}.json`) } };
}

export default defineConfig({
  test: {
    include: ["tests/{unit,integration,e2e}/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: ["tests/support/ceph/global-setup.ts"],
    maxWorkers: 2,
    ...reporters("test"),
  },
});
