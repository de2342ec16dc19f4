import type { LockHold } from "../report.ts";
import { blockedBy, compareModes, type LockMode } from "./lock-mode.ts";
import type { Relation } from "./relations.ts";

/** What one statement locked, by oid. */
export interface StatementLocks {
  readonly durationMs: number;
  /** The strongest mode that is new with this statement. */
  readonly taken: ReadonlyMap<string, LockMode>;
}

type Hold = Omit<LockHold, "bytes" | "realBytes">;

/**
 * Which tables the application waits for, and how long: inside a transaction a lock stays from the statement that
 * took it to the commit, however short that statement was. Tables that the file made itself are left out.
 */
export function lockHolds(
  statements: readonly StatementLocks[],
  before: ReadonlyMap<string, Relation>,
  file: { readonly transaction: boolean; readonly commitMs: number },
): Hold[] {
  const holds = new Map<string, Hold>();
  for (const [index, { taken, durationMs }] of statements.entries()) {
    const heldMs = file.transaction
      ? statements.slice(index).reduce((sum, each) => sum + each.durationMs, file.commitMs)
      : durationMs;
    for (const [oid, mode] of taken) {
      const blocks = blockedBy(mode);
      const relation = waitedFor(oid, mode, before);
      if (relation === undefined || blocks === "nothing") continue;
      const key = `${relation} ${blocks}`;
      const known = holds.get(key);
      // In a transaction the first one lasts longest; on their own, each counts for itself.
      if (known !== undefined && known.heldMs >= heldMs) continue;
      holds.set(key, { relation, mode, blocks, heldMs });
    }
  }
  return [...holds.values()].filter((each) => !isCovered(each, [...holds.values()]));
}

/** The application reads and writes tables and views; a query needs all indexes of its table to be free. */
function waitedFor(oid: string, mode: LockMode, before: ReadonlyMap<string, Relation>): string | undefined {
  const relation = before.get(oid);
  if (relation === undefined || relation.kind === "sequence") return undefined;
  if (relation.kind !== "index") return relation.name;
  if (mode !== "ACCESS EXCLUSIVE" || relation.tableOid === null) return undefined;
  return before.get(relation.tableOid)?.name;
}

/** A lock that blocks less, for no longer, adds nothing. */
function isCovered(hold: Hold, all: readonly Hold[]): boolean {
  return all.some(
    (other) =>
      other.relation === hold.relation &&
      compareModes(other.mode, hold.mode) > 0 &&
      other.heldMs >= hold.heldMs,
  );
}
