import { describeHalfDone, halfDoneBackfills } from "./batch/half-done.ts";
import type { BackfillPlace } from "./batch/place-table.ts";
import { otherDirection } from "./half-done-file.ts";
import type { MigrationFolder } from "./migration-file.ts";
import type { Problem } from "./problem.ts";
import type { StatementProgress } from "./progress-table.ts";
import { includesVersion } from "./selection.ts";
import type { Survey } from "./session.ts";

/** What is applied by half and has no file: whatever comes next would be built on a part of it. */
export function halfAppliedWithoutFile(
  { halfDone, backfills }: Pick<Survey, "halfDone" | "backfills">,
  { migrations }: Pick<MigrationFolder, "migrations">,
): Problem[] {
  const versions = migrations.map((each) => each.version);
  const isLost = ({ version, direction }: Pick<BackfillPlace, "version" | "direction">) =>
    direction === "up" && !includesVersion(versions, version);
  const lost = (message: string, hint: string): Problem => ({
    kind: "half-done",
    message: `${message}, and its file is gone`,
    hint,
  });
  return [
    ...halfDone
      .filter(isLost)
      .map((each) =>
        lost(
          otherDirection(each).message,
          `restore it under version ${each.version}, or forget what was done: ops migrate repair --accept ${each.version}`,
        ),
      ),
    ...backfills
      .filter(isLost)
      .map((each) => lost(describeHalfDone(each), `restore it under version ${each.version}`)),
  ];
}

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
