import { randomInt } from "node:crypto";
import type { ArchiveState } from "./archive-state.ts";
import { type Chosen, chooseBase } from "./choose-base.ts";
import type { RestoreTarget } from "./restore-target.ts";
import { windowsOf } from "./window.ts";

/** The way to the end of the archive. Throws `E_BACKUP_MISSING`, `E_RESTORE_TARGET` where none leads there. */
export function wayToTheEnd(database: string, archive: ArchiveState, now: Date): Chosen {
  const target = { kind: "latest" } as const;
  return chooseBase(database, archive, { target, timeline: undefined, base: undefined, now });
}

/**
 * Any moment from the oldest base backup that leads to the end of the archive up to the newest commit there, each as
 * likely as the other. The end of the archive where there is nothing in between.
 */
export function randomMoment(
  archive: ArchiveState,
  { base, line }: Chosen,
  newest: string | null,
  random: (below: number) => number = randomInt,
): RestoreTarget {
  const window = windowsOf(archive).windows.find(
    (each) => each.timeline === line.timeline && each.bases.includes(base.id),
  );
  const from = Date.parse(window?.from ?? base.stoppedAt);
  // A commit at or behind the moment is what tells the replay that it has come to it.
  const length = newest === null ? 0 : Date.parse(newest) - from;
  if (length <= 0) return { kind: "latest" };
  return { kind: "time", time: new Date(from + random(Math.min(length, 2 ** 48 - 1))).toISOString() };
}
