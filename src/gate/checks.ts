import type { Check } from "../run/check.ts";
import { commandCheck } from "./command-check.ts";
import { httpCheck } from "./http-check.ts";
import { sqlCheck } from "./sql-check.ts";

export const checks: readonly Check[] = [sqlCheck, httpCheck, commandCheck];
