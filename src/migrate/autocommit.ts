import { concurrentDetachment } from "./detach-partition.ts";
import { optionsOf } from "./statement-options.ts";
import { isRecord, nodeOf, type Statement } from "./statements.ts";

/** Statements that PostgreSQL refuses inside a transaction block, whatever their options are. */
const alwaysAlone = new Set([
  "AlterSystemStmt",
  "CreateTableSpaceStmt",
  "CreatedbStmt",
  "CreateSubscriptionStmt",
  "DropSubscriptionStmt",
  "DropTableSpaceStmt",
  "DropdbStmt",
]);

/** Whether PostgreSQL refuses the statement inside a transaction block. */
export function refusesTransaction(statement: Statement): boolean {
  if (isConcurrent(statement)) return true;
  const node = nodeOf(statement);
  switch (statement.kind) {
    case "ReindexStmt":
      return ["REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"].includes(
        String(node.kind),
      );
    case "VacuumStmt":
      return node.is_vacuumcmd === true;
    case "ClusterStmt":
      return node.relation === undefined;
    case "AlterSubscriptionStmt":
      return String(node.kind).includes("REFRESH");
    case "AlterDatabaseStmt":
      return optionsOf(node.options).has("tablespace");
    default:
      return alwaysAlone.has(statement.kind);
  }
}

/**
 * Whether nobody queues behind a statement that waits for its lock: what PostgreSQL does concurrently, and a VACUUM that
 * is not full. Such a wait needs no limit, and may be long: for every transaction that is open.
 */
export function waitsHarmlessly(statement: Statement): boolean {
  if (statement.kind === "VacuumStmt") return optionsOf(nodeOf(statement).options).get("full") !== true;
  return isConcurrent(statement);
}

function isConcurrent(statement: Statement): boolean {
  const node = nodeOf(statement);
  switch (statement.kind) {
    case "IndexStmt":
    case "DropStmt":
      return node.concurrent === true;
    case "ReindexStmt":
      return optionsOf(node.params).get("concurrently") === true;
    case "AlterTableStmt":
      return concurrentDetachment(statement) !== undefined;
    default:
      return false;
  }
}

/**
 * Whether a statement adds a value to an enum that a later one of the same file uses: PostgreSQL refuses a new value
 * before it is committed. A value that is only added is fine in a transaction.
 */
export function usesNewEnumValues(statements: readonly Statement[]): boolean {
  return statements.some((statement, index) => {
    const value = nodeOf(statement).newVal;
    if (statement.kind !== "AlterEnumStmt" || nodeOf(statement).oldVal !== undefined) return false;
    return statements.slice(index + 1).some((each) => uses(each.node, String(value)));
  });
}

/** As a constant, in an array's text, or quoted in the body of a function. */
function uses(node: unknown, value: string): boolean {
  if (Array.isArray(node)) return node.some((each) => uses(each, value));
  if (typeof node === "string") return node.includes(`'${value.replaceAll("'", "''")}'`);
  if (!isRecord(node)) return false;
  const constant = isRecord(node.A_Const) && isRecord(node.A_Const.sval) ? node.A_Const.sval.sval : undefined;
  if (
    typeof constant === "string" &&
    (constant === value || (/^\{/.test(constant) && constant.includes(value)))
  ) {
    return true;
  }
  return Object.values(node).some((each) => uses(each, value));
}

/** Words without which a text holds neither; the parser is spared the texts without. */
export const autocommitWords =
  /\b(?:concurrently|vacuum|add\s+value|system|database|tablespace|subscription|schema|cluster)\b|\badd\b[^;]*\bvalue\b/i;
