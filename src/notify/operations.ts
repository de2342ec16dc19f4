import type { Operation } from "../run/operation.ts";
import { flush } from "./flush.ts";
import { list } from "./list.ts";
import { outbox } from "./outbox.ts";
import { test } from "./test.ts";

export const operations: readonly Operation[] = [list, test, outbox, flush];
