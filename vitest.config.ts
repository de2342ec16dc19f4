import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

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

/** Unit tests last: a short file fills the end of a run, where a long one keeps one worker busy and the others idle. */
class ShortOnesLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isUnit = ({ moduleId }: TestSpecification) => moduleId.includes("/tests/unit/");
    return [...sorted.filter((each) => !isUnit(each)), ...sorted.filter(isUnit)];
  }
}

/** What compares times, or waits for a traffic of so many requests a second: a busy machine is no judge of it. */
const timed = [
  "tests/integration/{traffic,metrics,pool}/**/*.test.ts",
  "tests/integration/traffic-*.test.ts",
  "tests/e2e/{deploy,demo}.test.ts",
];

export default defineConfig({
  test: {
    sequence: { sequencer: ShortOnesLast },
    ...compileCache,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: [
      "tests/support/memory-folder.ts",
      "tests/support/migration-folders-setup.ts",
      "tests/support/ceph/global-setup.ts",
    ],
    projects: [
      {
        extends: true,
        test: { name: "timed", include: timed, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        // Most of their time they wait for servers that start and stop: as many again as there are cores.
        test: {
          name: "tests",
          include: ["tests/{unit,integration,e2e}/**/*.test.ts"],
          exclude: timed,
          maxWorkers: 4,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    ...reporters("test"),
  },
});
