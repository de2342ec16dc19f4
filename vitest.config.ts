import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** `.ci/run` adds the results of both test runs up. */
export function reporters(name: string) {
  const folder = process.env.OPS_TEST_RESULTS;
  return folder === undefined
    ? { reporters: ["default"] }
    : { reporters: ["default", "json"], outputFile: { json: join(folder, `${name}.json`) } };
}

/** For the processes of their own that tests start from the sources and kill: compiling took most of their start. */
export const compileCache = {
  env: { NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules", ".cache", "tests") },
};

export default defineConfig({
  test: {
    ...compileCache,
    include: ["tests/{unit,integration,e2e}/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: ["tests/support/memory-folder.ts", "tests/support/ceph/global-setup.ts"],
    maxWorkers: 2,
    ...reporters("test"),
  },
});
