import type { Check } from "../run/check.ts";
import { certificateCheck } from "./kinds/certificate-check.ts";
import { commandCheck } from "./kinds/command-check.ts";
import { databaseChecks } from "./kinds/database-checks.ts";
import { httpCheck } from "./kinds/http-check.ts";
import { releaseChecks } from "./kinds/release-checks.ts";
import { sqlCheck } from "./kinds/sql-check.ts";

export const checks: readonly Check[] = [
  sqlCheck,
  httpCheck,
  commandCheck,
  certificateCheck,
  ...databaseChecks,
  ...releaseChecks,
];
