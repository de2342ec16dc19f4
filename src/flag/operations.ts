import type { Operation } from "../run/operation.ts";
import { evaluate } from "./evaluate.ts";
import { get } from "./get.ts";
import { history } from "./history.ts";
import { kill, restore } from "./kill.ts";
import { list } from "./list.ts";
import { allow, deny } from "./lists.ts";
import { create } from "./new.ts";
import { require } from "./require.ts";
import { rollout } from "./rollout-command.ts";
import { set } from "./set.ts";
import { disable, enable } from "./state.ts";

export const operations: readonly Operation[] = [
  create,
  list,
  get,
  set,
  enable,
  disable,
  rollout,
  allow,
  deny,
  require,
  kill,
  restore,
  history,
  evaluate,
];
