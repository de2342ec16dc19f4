import type { Operation } from "../run/operation.ts";
import { compare } from "./compare.ts";
import { list, remove, show } from "./lists.ts";
import { record } from "./record.ts";

export const operations: readonly Operation[] = [record, compare, list, show, remove];
