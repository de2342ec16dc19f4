import type { Operation } from "../run/operation.ts";
import { down } from "./down.ts";
import { status } from "./status.ts";
import { test } from "./test.ts";
import { up } from "./up.ts";

export const operations: readonly Operation[] = [up, down, status, test];
