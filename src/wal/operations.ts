import type { Operation } from "../run/operation.ts";
import { fetch } from "./fetch.ts";
import { prefetch } from "./prefetch.ts";
import { push } from "./push.ts";

export const operations: readonly Operation[] = [push, fetch, prefetch];
