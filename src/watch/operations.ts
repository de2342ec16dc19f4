import type { Operation } from "../run/operation.ts";
import { list } from "./list.ts";
import { run } from "./run.ts";
import { report, show } from "./show.ts";
import { stop } from "./stop.ts";

export const operations: readonly Operation[] = [run, list, show, stop, report];
