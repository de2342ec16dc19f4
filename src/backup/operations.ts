import type { Operation } from "../run/operation.ts";
import { copy } from "./copy.ts";
import { create } from "./create.ts";
import { hold, release } from "./hold.ts";
import { listKeys } from "./keys-list.ts";
import { newKeys } from "./keys-new.ts";
import { rotateKeys } from "./keys-rotate.ts";
import { list } from "./list.ts";
import { prune } from "./prune.ts";
import { restore } from "./restore.ts";
import { show } from "./show.ts";
import { status } from "./status.ts";
import { verify } from "./verify.ts";

export const operations: readonly Operation[] = [
  create,
  copy,
  status,
  list,
  show,
  verify,
  restore,
  prune,
  hold,
  release,
  newKeys,
  listKeys,
  rotateKeys,
];
