import type { Operation } from "../run/operation.ts";
import { install, uninstall } from "./install.ts";
import { list } from "./list.ts";
import { runDue } from "./run-due.ts";

export const operations: readonly Operation[] = [list, runDue, install, uninstall];
