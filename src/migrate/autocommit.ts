import { concurrentDetachment } from "./detach-partition.ts";
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
  const node = nodeOf(statement);
  switch (statement.kind) {
    case "IndexStmt":
    case "DropStmt":
      return node.concurrent === true;
    case "ReindexStmt":
      return (
        optionNames(node.params).includes("concurrently") ||
        ["REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"].includes(
          String(node.kind),
        )
      );
    case "VacuumStmt":
      return node.is_vacuumcmd === true;
    case "ClusterStmt":
      return node.relation === undefined;
    case "AlterSubscriptionStmt":
      return String(node.kind).includes("REFRESH");
    case "AlterTableStmt":
      return concurrentDetachment(statement) !== undefined;
    case "AlterDatabaseStmt":
      return optionNames(node.options).includes("tablespace");
    default:
      return alwaysAlone.has(statement.kind);
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
    return statements.slice(index + 1).some((each) => each.text.includes(`'${String(value)}'`));
  });
}

/** Words without which a text holds neither; the parser is spared the texts without. */
export const autocommitWords =
  /\b(?:concurrently|vacuum|add\s+value|system|database|tablespace|subscription|schema|cluster)\b|\badd\b[^;]*\bvalue\b/i;

function optionNames(options: unknown): string[] {
  return list(options).flatMap((each) =>
    isRecord(each) && isRecord(each.DefElem) ? [String(each.DefElem.defname)] : [],
  );
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
