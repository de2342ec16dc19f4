import type { Operation } from "../run/operation.ts";
import { createBase } from "./base-create.ts";
import { listBases } from "./base-list.ts";
import { diff } from "./diff.ts";
import { drill } from "./drill.ts";
import { extract } from "./extract.ts";
import { point } from "./point.ts";
import { prune } from "./prune.ts";
import { restore } from "./restore.ts";
import { setup } from "./setup.ts";
import { window } from "./window.ts";

export const operations: readonly Operation[] = [
  setup,
  createBase,
  listBases,
  point,
  window,
  restore,
  diff,
  extract,
  prune,
  drill,
];
