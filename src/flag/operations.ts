import type { Operation } from "../run/operation.ts";
import { evaluate } from "./evaluate.ts";
import { get } from "./get.ts";
import { history } from "./history.ts";
import { kill, restore } from "./kill.ts";
import { lint } from "./lint.ts";
import { list } from "./list.ts";
import { allow, deny } from "./lists.ts";
import { create } from "./new.ts";
import { ramp } from "./ramp.ts";
import { abort, promote } from "./ramp-others.ts";
import { remove } from "./remove.ts";
import { require } from "./require.ts";
import { rollout } from "./rollout-command.ts";
import { schedule } from "./schedule.ts";
import { listSegments, removeSegment, setSegment } from "./segments.ts";
import { serve } from "./serve.ts";
import { set } from "./set.ts";
import { stale } from "./stale.ts";
import { disable, enable } from "./state.ts";
import { diff, exportFlags, importFlags, sync } from "./transfer.ts";

export const operations: readonly Operation[] = [
  create,
  list,
  get,
  set,
  enable,
  disable,
  rollout,
  ramp,
  promote,
  abort,
  allow,
  deny,
  require,
  schedule,
  kill,
  restore,
  history,
  evaluate,
  lint,
  stale,
  remove,
  diff,
  exportFlags,
  importFlags,
  sync,
  setSegment,
  listSegments,
  removeSegment,
  serve,
];
