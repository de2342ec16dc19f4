import type { Operation } from "../run/operation.ts";
import { answer, answers } from "./answer.ts";
import { check } from "./check-gate.ts";
import { checklist } from "./checklist.ts";
import { explain } from "./explain.ts";
import { list } from "./list.ts";
import { override, overrides, revoke } from "./override.ts";
import { show } from "./show.ts";

export const operations: readonly Operation[] = [
  check,
  list,
  show,
  explain,
  checklist,
  override,
  overrides,
  revoke,
  answer,
  answers,
];
