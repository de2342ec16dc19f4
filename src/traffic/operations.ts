import type { Operation } from "../run/operation.ts";
import { abort } from "./abort.ts";
import { canary } from "./canary.ts";
import { init } from "./init.ts";
import { mirror } from "./mirror.ts";
import { promote } from "./promote.ts";
import { shift } from "./shift.ts";
import { simulate } from "./simulate.ts";
import { status } from "./status.ts";
import { switchOver } from "./switch.ts";
import { addTesters, listTesters, removeTesters } from "./testers-operations.ts";

export const operations: readonly Operation[] = [
  status,
  init,
  shift,
  switchOver,
  canary,
  promote,
  abort,
  mirror,
  addTesters,
  removeTesters,
  listTesters,
  simulate,
];
