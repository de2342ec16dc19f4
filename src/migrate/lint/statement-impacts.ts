import { optionsOf } from "../statement-options.ts";
import { nodeOf, type Statement } from "../statements.ts";
import { alterTableImpacts, referenceImpacts } from "./alter-table.ts";
import type { Impact } from "./impact.ts";
import type { LiveDatabase, RelationName } from "./live-database.ts";
import type { Made } from "./made.ts";
import { child, children, has, type Node, relation, text } from "./node.ts";

/** What a statement does to tables that the live database has. */
export async function statementImpacts(
  statement: Statement,
  database: LiveDatabase,
  made: Made,
): Promise<Impact[]> {
  const node = nodeOf(statement);
  const of = relation(child(node, "relation", "RangeVar"));
  const on = (impact: Omit<Impact, "relation">, relations: readonly (RelationName | undefined)[] = [of]) =>
    relations.flatMap((each) => (each === undefined ? [] : [{ ...impact, relation: each }]));
  switch (statement.kind) {
    case "AlterTableStmt": {
      const table = of === undefined ? undefined : await database.table(of);
      if (of === undefined || table === undefined) return [];
      const impacts = await alterTableImpacts(node, of, table, database, made);
      return impacts.some((each) => each.weight === "long") ? impacts : [...impacts, ...on(shortLock)];
    }
    case "CreateStmt":
      return foreignKeysOf(node).flatMap((each) => referenceImpacts(each, undefined));
    case "IndexStmt":
      return has(node, "concurrent") ? [] : on(indexBuild);
    case "ReindexStmt":
      return optionsOf(node.params).get("concurrently") === true ? [] : on(reindex);
    case "RefreshMatViewStmt":
      return has(node, "concurrent") ? [] : on(refresh);
    case "ClusterStmt":
      return on(rewriting("CLUSTER"));
    case "VacuumStmt":
      return optionsOf(node.options).get("full") === true
        ? on(
            rewriting("VACUUM FULL"),
            children(node, "rels", "VacuumRelation").map((each) => relation(child(each, "relation"))),
          )
        : [];
    case "UpdateStmt":
    case "DeleteStmt":
      return has(node, "whereClause")
        ? []
        : on(everyRow(statement.kind === "UpdateStmt" ? "UPDATE" : "DELETE"));
    case "TruncateStmt":
    case "LockStmt":
      return on(
        shortLock,
        children(node, "relations", "RangeVar").map((each) => relation(each)),
      );
    case "RenameStmt":
    case "CreateTrigStmt":
      return on(shortLock);
    default:
      return [];
  }
}

/** The tables that the statement makes. */
export function createdRelation(statement: Statement): RelationName | undefined {
  const node = nodeOf(statement);
  if (statement.kind === "CreateStmt") return relation(child(node, "relation", "RangeVar"));
  if (statement.kind === "CreateTableAsStmt") return relation(child(child(node, "into"), "rel"));
  return undefined;
}

function foreignKeysOf(createTable: Node): Node[] {
  const columns = children(createTable, "tableElts", "ColumnDef");
  const all = [
    ...children(createTable, "tableElts", "Constraint"),
    ...columns.flatMap((each) => children(each, "constraints", "Constraint")),
  ];
  return all.filter((each) => text(each, "contype") === "CONSTR_FOREIGN");
}

const shortLock = {
  rule: "locking-big-table",
  weight: "short",
  does: "takes its lock for a moment only, but whoever comes behind it waits as long as it waits",
  instead: "nothing: lock_timeout and retries keep the wait short; run it at a quiet time",
} as const;

const indexBuild = {
  rule: "require-concurrent-index-creation",
  weight: "long",
  does: "builds an index, while nobody writes",
  instead: "CREATE INDEX CONCURRENTLY, in a file with -- ops: transaction=none",
} as const;

const reindex = {
  rule: "require-concurrent-reindex",
  weight: "long",
  does: "builds indexes anew, while nobody writes",
  instead: "REINDEX … CONCURRENTLY, in a file with -- ops: transaction=none",
} as const;

const refresh = {
  rule: "require-concurrent-refresh-materialized-view",
  weight: "long",
  does: "fills the view anew, while nobody reads",
  instead: "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index",
} as const;

function rewriting(what: string) {
  return {
    rule: "rewriting-table",
    weight: "long",
    does: `${what} writes every row anew, while nobody reads or writes`,
    instead: "leave it to autovacuum, or do it in a maintenance window",
  } as const;
}

function everyRow(what: string) {
  return {
    rule: "changing-every-row",
    weight: "long",
    does: `${what} without WHERE changes every row in one transaction, and holds them all until its end`,
    instead:
      "make it a backfill: -- ops: batch table=… key=id size=5000, with WHERE id BETWEEN :batch_start AND :batch_end",
  } as const;
}
