import type { Operation } from "../run/operation.ts";
import { create } from "./create.ts";
import { list } from "./list.ts";
import { restore } from "./restore.ts";
import { verify } from "./verify.ts";

export const operations: readonly Operation[] = [create, list, verify, restore];
