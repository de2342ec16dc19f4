import { defineConfig } from "vitest/config";
import { compileCache, reporters } from "./vitest.config.ts";

/** Requests are counted under load, and a canary's limits are times. */
const timed = ["tests/integration/{traffic,pool}/**/*.faults.ts"];

/** Long fault series: crash matrices, fuzzing. `npm run test:faults`. */
export default defineConfig({
  test: {
    ...compileCache,
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    globalSetup: ["tests/support/memory-folder.ts", "tests/support/ceph/global-setup.ts"],
    projects: [
      {
        extends: true,
        test: { name: "timed", include: timed, maxWorkers: 2, sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        test: {
          name: "faults",
          include: ["tests/**/*.faults.ts"],
          exclude: timed,
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
    ],
    ...reporters("faults"),
  },
});
