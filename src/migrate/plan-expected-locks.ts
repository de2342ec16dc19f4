import { alterTableLocks } from "./plan-alter-table-locks.ts";
import { type ExpectedLock, foreignKeyLocks, list, lock } from "./plan-locked-relation.ts";
import { optionsOf } from "./statement-options.ts";
import { isRecord, nodeOf, type Statement } from "./statements.ts";
import { type LockMode, lockModes } from "./test/lock-mode.ts";
import { quotedName } from "./test/relation-name.ts";

export interface ExpectedLocks {
  readonly locks: readonly ExpectedLock[];
  /** What the text does not tell: a DO block, a function or a procedure may lock anything. */
  readonly unknown: boolean;
}

/** From the statement's text alone, without what only reads (ACCESS SHARE and ROW SHARE). */
export function expectedLocks(statement: Statement): ExpectedLocks {
  const node = nodeOf(statement);
  const locks = [...own(statement.kind, node), ...written(statement.node)];
  const strongest = new Map<string, LockMode>();
  for (const { relation, mode } of locks) {
    const known = strongest.get(relation);
    if (known === undefined || lockModes.indexOf(mode) > lockModes.indexOf(known))
      strongest.set(relation, mode);
  }
  return {
    locks: [...strongest].map(([relation, mode]) => ({ relation, mode })),
    unknown: runsOtherCode(statement),
  };
}

type Node = Readonly<Record<string, unknown>>;

function own(kind: string, node: Node): ExpectedLock[] {
  const one = (mode: LockMode, relation: unknown = node.relation) => lock(relation, mode);
  switch (kind) {
    case "AlterTableStmt":
      return alterTableLocks(node);
    case "IndexStmt":
      return one(node.concurrent === true ? "SHARE UPDATE EXCLUSIVE" : "SHARE");
    case "ReindexStmt":
      return one(optionsOf(node.params).get("concurrently") === true ? "SHARE UPDATE EXCLUSIVE" : "SHARE");
    case "RenameStmt":
      return one(node.renameType === "OBJECT_INDEX" ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE");
    case "CreateStmt":
      return createTableLocks(node);
    case "CreateTrigStmt":
      return [...one("SHARE ROW EXCLUSIVE"), ...one("SHARE ROW EXCLUSIVE", node.constrrel)];
    case "CreatePolicyStmt":
    case "AlterPolicyStmt":
      return one("ACCESS EXCLUSIVE", node.table);
    case "ViewStmt":
      return node.replace === true ? one("ACCESS EXCLUSIVE", node.view) : [];
    case "AlterObjectSchemaStmt":
    case "RuleStmt":
      return one("ACCESS EXCLUSIVE");
    case "ClusterStmt":
      return one("ACCESS EXCLUSIVE");
    case "RefreshMatViewStmt":
      return one(node.concurrent === true ? "EXCLUSIVE" : "ACCESS EXCLUSIVE");
    case "CopyStmt":
      return node.is_from === true ? one("ROW EXCLUSIVE") : [];
    case "TruncateStmt":
      return list(node.relations).flatMap((each) => lock(each, "ACCESS EXCLUSIVE"));
    case "LockStmt":
      return list(node.relations).flatMap((each) =>
        lock(each, lockModes[Number(node.mode) - 1] ?? "ACCESS EXCLUSIVE"),
      );
    case "CreateStatsStmt":
      return list(node.relations).flatMap((each) => lock(each, "SHARE UPDATE EXCLUSIVE"));
    case "VacuumStmt": {
      const mode =
        optionsOf(node.options).get("full") === true ? "ACCESS EXCLUSIVE" : "SHARE UPDATE EXCLUSIVE";
      return list(node.rels).flatMap((each) =>
        isRecord(each) && isRecord(each.VacuumRelation) ? lock(each.VacuumRelation.relation, mode) : [],
      );
    }
    case "DropStmt":
      return dropLocks(node);
    default:
      return [];
  }
}

/** The new table itself is nobody's yet; what it refers to or becomes a part of is not. */
function createTableLocks(node: Node): ExpectedLock[] {
  const parent = node.partbound === undefined ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE";
  return [
    ...list(node.inhRelations).flatMap((each) => lock(each, parent)),
    ...foreignKeyLocks(node.tableElts),
  ];
}

const parts = ["OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"];
const relations = ["OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_INDEX"];

function dropLocks(node: Node): ExpectedLock[] {
  const type = String(node.removeType);
  const mode = node.concurrent === true ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE";
  if (!relations.includes(type) && !parts.includes(type)) return [];
  return list(node.objects).flatMap((each) => {
    const names = strings(isRecord(each) && isRecord(each.List) ? each.List.items : undefined);
    const table = parts.includes(type) ? names.slice(0, -1) : names;
    const name = table.at(-1);
    return name === undefined ? [] : [{ relation: quotedName(table.at(-2), name), mode }];
  });
}

const writes = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];

/** What INSERT, UPDATE, DELETE and MERGE write to, inside a WITH too; a function's body is text, not a node. */
function written(node: unknown): ExpectedLock[] {
  if (Array.isArray(node)) return node.flatMap(written);
  if (!isRecord(node)) return [];
  const here = writes.flatMap((each) => {
    const statement = node[each];
    return isRecord(statement) ? lock(statement.relation, "ROW EXCLUSIVE") : [];
  });
  return [...here, ...Object.values(node).flatMap(written)];
}

function runsOtherCode({ kind, node }: Statement): boolean {
  if (["DoStmt", "CallStmt", "ExecuteStmt"].includes(kind)) return true;
  return kind === "SelectStmt" && callsFunction(node);
}

/** Of the server's own functions only those that a migration calls for their effect are known to lock no table. */
const harmless = /^(?:set_config|setval|nextval|currval|count|now|pg_.*)$/;

function callsFunction(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(callsFunction);
  if (!isRecord(node)) return false;
  const call = node.FuncCall;
  if (isRecord(call) && !harmless.test(strings(call.funcname).at(-1) ?? "")) return true;
  return Object.values(node).some(callsFunction);
}

function strings(value: unknown): string[] {
  return list(value).flatMap((each) =>
    isRecord(each) && isRecord(each.String) ? [String(each.String.sval)] : [],
  );
}
