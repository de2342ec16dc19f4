import type pg from "pg";
import { concurrentDetachment, detachmentState } from "./detach-partition.ts";
import { findIndex, type IndexName } from "./invalid-index.ts";
import { rangeOf } from "./statement-names.ts";
import { isRecord, nodeOf, type Statement } from "./statements.ts";

/** What is known about a statement that was begun outside a transaction by a process that is gone. */
export type Completion =
  | "done"
  /** It did nothing, or can be run a second time. */
  | "again"
  /** Nobody can tell. */
  | "unknown";

/** Looks at what a statement would have left behind. */
export async function judgeCompletion(client: pg.ClientBase, statement: Statement): Promise<Completion> {
  const node = nodeOf(statement);
  switch (statement.kind) {
    case "IndexStmt": {
      const name = builtIndex(statement);
      const found = name === undefined ? undefined : await findIndex(client, name);
      if (name === undefined) return "unknown";
      return found?.valid === true ? "done" : "again";
    }
    case "DropStmt": {
      const left = await Promise.all(droppedIndexes(statement).map((name) => findIndex(client, name)));
      return left.every((each) => each === undefined) ? "done" : "again";
    }
    case "CreatedbStmt":
      return (await exists(client, "pg_database WHERE datname = $1", node.dbname)) ? "done" : "again";
    case "DropdbStmt":
      return (await exists(client, "pg_database WHERE datname = $1", node.dbname)) ? "again" : "done";
    case "CreateTableSpaceStmt":
      return (await exists(client, "pg_tablespace WHERE spcname = $1", node.tablespacename))
        ? "done"
        : "again";
    case "DropTableSpaceStmt":
      return (await exists(client, "pg_tablespace WHERE spcname = $1", node.tablespacename))
        ? "again"
        : "done";
    case "AlterTableStmt": {
      const detachment = concurrentDetachment(statement);
      if (detachment === undefined) return "unknown";
      return (await detachmentState(client, detachment)) === "detached" ? "done" : "again";
    }
    case "ReindexStmt":
    case "VacuumStmt":
    case "ClusterStmt":
    case "AlterSystemStmt":
    case "VariableSetStmt":
      return "again";
    default:
      return "unknown";
  }
}

/** The index that a CREATE INDEX builds; undefined where the server is to choose its name. */
export function builtIndex(statement: Statement): IndexName | undefined {
  const { idxname, relation } = nodeOf(statement);
  if (statement.kind !== "IndexStmt" || typeof idxname !== "string") return undefined;
  const table = rangeOf(relation);
  return table && { schema: table.schema, name: idxname, table };
}

function droppedIndexes(statement: Statement): IndexName[] {
  const { objects } = nodeOf(statement);
  if (!Array.isArray(objects)) return [];
  return objects.map((object: unknown) => {
    const items = isRecord(object) && isRecord(object.List) ? object.List.items : [];
    const parts = (Array.isArray(items) ? items : []).map((item: unknown) =>
      isRecord(item) && isRecord(item.String) ? String(item.String.sval) : "",
    );
    return { schema: parts.at(-2), name: parts.at(-1) ?? "", table: undefined };
  });
}

async function exists(client: pg.ClientBase, where: string, name: unknown): Promise<boolean> {
  const { rows } = await client.query(`SELECT EXISTS (SELECT FROM ${where}) AS found`, [String(name)]);
  return rows[0]?.found === true;
}
