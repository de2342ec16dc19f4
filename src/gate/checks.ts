import type { Check } from "../run/check.ts";
import { commandCheck } from "./kinds/command-check.ts";
import { databaseChecks } from "./kinds/database-checks.ts";
import { httpCheck } from "./kinds/http-check.ts";
import { networkChecks } from "./kinds/network-checks.ts";
import { releaseChecks } from "./kinds/release-checks.ts";
import { sqlCheck } from "./kinds/sql-check.ts";

export const checks: readonly Check[] = [
  sqlCheck,
  httpCheck,
  commandCheck,
  ...networkChecks,
  ...databaseChecks,
  ...releaseChecks,
];
