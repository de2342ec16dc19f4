import { isRecord } from "./statements.ts";
import type { LockMode } from "./test/lock-mode.ts";
import { quotedName } from "./test/relation-name.ts";

/** A lock that PostgreSQL's manual says a statement takes (13.3.1 and the page of each command). */
export interface ExpectedLock {
  /** A table or view, or an index where that is all that the statement names. */
  readonly relation: string;
  readonly mode: LockMode;
}

/** A RangeVar, bare or in its node's name. */
export function lock(relation: unknown, mode: LockMode): ExpectedLock[] {
  if (!isRecord(relation)) return [];
  const range = isRecord(relation.RangeVar) ? relation.RangeVar : relation;
  if (typeof range.relname !== "string" || range.relpersistence === "t") return [];
  const schema = typeof range.schemaname === "string" ? range.schemaname : undefined;
  return [{ relation: quotedName(schema, range.relname), mode }];
}

/** Every foreign key in the node, however deep: the table it points to is locked like the one it is on. */
export function foreignKeyLocks(node: unknown): ExpectedLock[] {
  if (Array.isArray(node)) return node.flatMap(foreignKeyLocks);
  if (!isRecord(node)) return [];
  const key = node.Constraint;
  if (isRecord(key) && key.contype === "CONSTR_FOREIGN") return lock(key.pktable, "SHARE ROW EXCLUSIVE");
  return Object.values(node).flatMap(foreignKeyLocks);
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
