import { defineConfig } from "vitest/config";
import { compileCache, reporters } from "./vitest.config.ts";

/** Long fault series: crash matrices, fuzzing. `npm run test:faults`. */
export default defineConfig({
  test: {
    ...compileCache,
    include: ["tests/**/*.faults.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    globalSetup: ["tests/support/memory-folder.ts", "tests/support/ceph/global-setup.ts"],
    maxWorkers: 2,
    ...reporters("faults"),
  },
});
