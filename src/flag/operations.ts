import type { Operation } from "../run/operation.ts";
import { get } from "./get.ts";
import { list } from "./list.ts";
import { set } from "./set.ts";

export const operations: readonly Operation[] = [set, get, list];
