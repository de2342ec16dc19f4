import type { Operation } from "../run/operation.ts";
import { continueBackfill, pauseBackfill } from "./backfill-pause.ts";
import { backfills } from "./backfills.ts";
import { down } from "./down.ts";
import { drift } from "./drift.ts";
import { lint } from "./lint.ts";
import { plan } from "./plan.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { test } from "./test.ts";
import { up } from "./up.ts";

export const operations: readonly Operation[] = [
  up,
  down,
  status,
  plan,
  test,
  snapshot,
  drift,
  lint,
  backfills,
  pauseBackfill,
  continueBackfill,
];
