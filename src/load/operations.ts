import type { Operation } from "../run/operation.ts";
import { run } from "./run.ts";
import { list, show } from "./show.ts";

export const operations: readonly Operation[] = [run, list, show];
