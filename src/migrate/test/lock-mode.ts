/** PostgreSQL's table-level lock modes, weakest first (manual, 13.3.1). */
export const lockModes = [
  "ACCESS SHARE",
  "ROW SHARE",
  "ROW EXCLUSIVE",
  "SHARE UPDATE EXCLUSIVE",
  "SHARE",
  "SHARE ROW EXCLUSIVE",
  "EXCLUSIVE",
  "ACCESS EXCLUSIVE",
] as const;

export type LockMode = (typeof lockModes)[number];

/** What the application has to wait for while a lock of some mode is held on a table. */
export type Blocked = "reads and writes" | "writes" | "row locks and writes" | "nothing";

/**
 * By the conflict table of the manual: a SELECT takes ACCESS SHARE, SELECT FOR UPDATE takes ROW SHARE, and INSERT,
 * UPDATE and DELETE take ROW EXCLUSIVE.
 */
export function blockedBy(mode: LockMode): Blocked {
  switch (mode) {
    case "ACCESS EXCLUSIVE":
      return "reads and writes";
    case "EXCLUSIVE":
      return "row locks and writes";
    case "SHARE":
    case "SHARE ROW EXCLUSIVE":
      return "writes";
    default:
      return "nothing";
  }
}

/** Negative where `a` is weaker than `b`. */
export function compareModes(a: LockMode, b: LockMode): number {
  return lockModes.indexOf(a) - lockModes.indexOf(b);
}

export function strongest(modes: readonly LockMode[]): LockMode | undefined {
  return modes.toSorted(compareModes).at(-1);
}

/** From pg_locks, which writes `AccessExclusiveLock`; undefined for SIReadLock, which blocks nobody. */
export function lockModeOf(name: string): LockMode | undefined {
  const words = name.replace(/Lock$/, "").replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ");
  return lockModes.find((each) => each === words.toUpperCase());
}
