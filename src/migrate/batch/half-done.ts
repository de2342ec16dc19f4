import { title } from "../migration-file.ts";
import type { Problem } from "../problem.ts";
import type { BackfillPlace } from "./place-table.ts";

/** Backfills of one direction that have begun and not come to their end, as reasons to do nothing else first. */
export function halfDoneBackfills(
  backfills: readonly BackfillPlace[],
  direction: "up" | "down",
): readonly Problem[] {
  return backfills
    .filter((each) => each.direction === direction)
    .map((place) => ({
      kind: "half-done",
      message: describeHalfDone(place),
      hint: `finish it: ${place.state === "paused" ? `ops migrate continue ${place.version}, then ` : ""}ops migrate ${direction}`,
    }));
}

export function describeHalfDone(place: BackfillPlace): string {
  const half = place.direction === "up" ? "backfilled" : "taken back";
  return `${title(place)} is ${half} by half: ${place.rowsDone} of about ${place.rowsExpected} rows are done`;
}
