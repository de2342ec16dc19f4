import type { Operation } from "../run/operation.ts";
import { push } from "./push.ts";

export const operations: readonly Operation[] = [push];
