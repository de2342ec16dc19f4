import type { Operation } from "../run/operation.ts";
import { adopt } from "./adopt.ts";
import { continueBackfill, pauseBackfill } from "./backfill-pause.ts";
import { backfills } from "./backfills.ts";
import { baseline } from "./baseline.ts";
import { current } from "./current.ts";
import { down } from "./down.ts";
import { drift } from "./drift.ts";
import { history } from "./history.ts";
import { lint } from "./lint.ts";
import { newMigration } from "./new.ts";
import { plan } from "./plan.ts";
import { redo } from "./redo.ts";
import { repair } from "./repair.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { test } from "./test.ts";
import { up } from "./up.ts";
import { verify } from "./verify.ts";

export const operations: readonly Operation[] = [
  up,
  down,
  redo,
  status,
  current,
  history,
  plan,
  test,
  verify,
  repair,
  newMigration,
  baseline,
  adopt,
  snapshot,
  drift,
  lint,
  backfills,
  pauseBackfill,
  continueBackfill,
];
