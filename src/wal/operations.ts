import type { Operation } from "../run/operation.ts";
import { fetch } from "./fetch.ts";
import { prefetch } from "./prefetch.ts";
import { push } from "./push.ts";
import { receive } from "./receive.ts";
import { status } from "./status.ts";

export const operations: readonly Operation[] = [status, push, receive, fetch, prefetch];
