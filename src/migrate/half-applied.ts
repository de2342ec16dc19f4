import { halfDoneBackfills } from "./batch/half-done.ts";
import type { BackfillPlace } from "./batch/place-table.ts";
import type { Problem } from "./problem.ts";
import type { StatementProgress } from "./progress-table.ts";
import { otherDirection } from "./statement-run.ts";

/** What is applied by half stands on what is below it: nothing is taken back before it has come to its end. */
export function halfApplied(
  halfDone: readonly StatementProgress[],
  backfills: readonly BackfillPlace[],
): Problem[] {
  const files = halfDone
    .filter((each) => each.direction === "up")
    .map((each) => {
      const { message, hint = "" } = otherDirection(each);
      return { kind: "half-done", message, hint };
    });
  return [...files, ...halfDoneBackfills(backfills, "up")];
}
