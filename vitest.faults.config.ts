import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { compileCache, reporters } from "./vitest.config.ts";

/** Requests are counted under load, and a canary's limits are times. */
const timed = ["tests/integration/{traffic,pool}/**/*.faults.ts"];

/** The longest first: one that begins last is waited for alone. */
const longest = ["/crash-", "/backup-killed.", "/boundaries-", "/truth.", "swap-killed.", "/receive-killed."];

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = longest.findIndex((each) => moduleId.includes(each));
      return place === -1 ? longest.length : place;
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

/** Long fault series: crash matrices, fuzzing. `npm run test:faults`. */
export default defineConfig({
  test: {
    sequence: { sequencer: LongOnesFirst },
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
