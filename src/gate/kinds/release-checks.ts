import type { Check } from "../../run/check.ts";
import { auditCheck } from "./audit-check.ts";
import { coverageCheck } from "./coverage-check.ts";
import { freezeCheck } from "./freeze-check.ts";
import { gitCheck } from "./git-check.ts";
import { junitCheck } from "./junit-check.ts";
import { manualCheck } from "./manual-check.ts";

/** What a release plan asks beside what is measured in production: people, the calendar, the build. */
export const releaseChecks: readonly Check[] = [
  manualCheck,
  freezeCheck,
  gitCheck,
  junitCheck,
  coverageCheck,
  auditCheck,
];
