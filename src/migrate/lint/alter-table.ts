import { rewritesForType } from "./column-type.ts";
import type { Impact } from "./impact.ts";
import type { LiveDatabase, LiveTable, RelationName } from "./live-database.ts";
import type { Made } from "./made.ts";
import { calledFunctions, child, children, has, type Node, names, relation, text } from "./node.ts";

/** What each command of an ALTER TABLE does to its table and to those it refers to. */
export async function alterTableImpacts(
  statement: Node,
  of: RelationName,
  table: LiveTable,
  database: LiveDatabase,
  made: Made,
): Promise<Impact[]> {
  const impacts: Impact[] = [];
  for (const command of children(statement, "cmds", "AlterTableCmd")) {
    impacts.push(...(await commandImpacts(command, of, table, database, made)));
  }
  return impacts;
}

const rewritingCommands: Readonly<Record<string, string>> = {
  AT_SetTableSpace: "SET TABLESPACE",
  AT_SetLogged: "SET LOGGED",
  AT_SetUnLogged: "SET UNLOGGED",
  AT_SetAccessMethod: "SET ACCESS METHOD",
};

async function commandImpacts(
  command: Node,
  of: RelationName,
  table: LiveTable,
  database: LiveDatabase,
  made: Made,
): Promise<Impact[]> {
  const subtype = text(command, "subtype") ?? "";
  const name = text(command, "name") ?? "";
  switch (subtype) {
    case "AT_AlterColumnType": {
      const column = table.columns.get(name);
      const definition = child(command, "def", "ColumnDef");
      if (column === undefined || !(await rewritesForType(database, column, name, definition))) return [];
      return [
        {
          rule: "changing-column-type",
          relation: of,
          weight: "long",
          does: `the new type of ${name} (now ${column.type}) makes PostgreSQL ${database.major} write every row and index anew, while nobody reads or writes`,
          instead: "add a new column, fill it in batches (-- ops: batch …), then switch over",
        },
      ];
    }
    case "AT_AddColumn":
      return addedColumn(child(command, "def", "ColumnDef"), of, database, made);
    case "AT_SetNotNull":
      if (table.columns.get(name)?.notNull === true) return [];
      if (database.major >= 12 && (table.provenNotNull.has(name) || made.notNullChecks.proves(of, name)))
        return [];
      return [notNullScan(of, name)];
    case "AT_AddConstraint":
      return constraintImpacts(child(command, "def", "Constraint"), of);
    case "AT_AttachPartition": {
      const partition = relation(child(child(command, "def", "PartitionCmd"), "name"));
      if (partition === undefined) return [];
      return [
        {
          rule: "attaching-partition",
          relation: partition,
          weight: "long",
          does: "reads every row to prove the partition's bounds, while nobody reads or writes",
          instead:
            "first add a CHECK constraint with the bounds as NOT VALID and VALIDATE it: then nothing is read",
        },
      ];
    }
    default: {
      const rewriting = rewritingCommands[subtype];
      return rewriting === undefined ? [] : [rewrite(of, rewriting)];
    }
  }
}

async function addedColumn(
  column: Node,
  of: RelationName,
  database: LiveDatabase,
  made: Made,
): Promise<Impact[]> {
  const name = text(column, "colname") ?? "";
  const constraints = children(column, "constraints", "Constraint");
  const find = (type: string) => constraints.find((each) => text(each, "contype") === type);
  const type = names(child(column, "typeName", "TypeName"), "names").at(-1) ?? "";
  const filled = find("CONSTR_DEFAULT");
  const computed = /^(small|big)?serial\d?$/.test(type) || find("CONSTR_IDENTITY") !== undefined;
  const stored =
    find("CONSTR_GENERATED") !== undefined && text(find("CONSTR_GENERATED") ?? {}, "generated_kind") !== "v";
  const impacts = constraints.flatMap((each) =>
    text(each, "contype") === "CONSTR_FOREIGN" ? referenceImpacts(each, of) : [],
  );
  const functions = calledFunctions(filled?.raw_expr);
  if (computed || stored || (functions.length > 0 && (await database.isVolatile(functions)))) {
    impacts.push({
      rule: "adding-field-with-default",
      relation: of,
      weight: "long",
      does: `the new column ${name} has another value in every row, so that every row is written anew while nobody reads or writes`,
      instead:
        "add the column without a default, set the default for new rows, and fill the old ones in batches (-- ops: batch …)",
    });
  } else if (await made.domains.isConstrained(child(column, "typeName", "TypeName"), database)) {
    impacts.push({
      rule: "adding-field-with-default",
      relation: of,
      weight: "long",
      does: `the new column ${name} is of a domain with constraints, so that every row is written anew and checked while nobody reads or writes`,
      instead:
        "add the column with the domain's own base type, and the domain's CHECK to the table as NOT VALID; VALIDATE it in a later migration",
    });
  } else if (find("CONSTR_NOTNULL") !== undefined && filled === undefined && !stored) {
    impacts.push({
      rule: "adding-required-field",
      relation: of,
      weight: "fails",
      does: `the new column ${name} is NOT NULL without a default, which fails`,
      instead: "give it a default, or add it as nullable, fill it and SET NOT NULL later",
    });
  }
  if (find("CONSTR_UNIQUE") !== undefined || find("CONSTR_PRIMARY") !== undefined)
    impacts.push(uniqueIndex(of));
  if (find("CONSTR_CHECK") !== undefined) impacts.push(checkScan(of));
  return impacts;
}

function constraintImpacts(constraint: Node, of: RelationName): Impact[] {
  const type = text(constraint, "contype");
  if (has(constraint, "skip_validation") && type !== "CONSTR_FOREIGN") return [];
  switch (type) {
    case "CONSTR_CHECK":
      return [checkScan(of)];
    case "CONSTR_FOREIGN":
      return referenceImpacts(constraint, of);
    case "CONSTR_NOTNULL":
      return names(constraint, "keys").map((each) => notNullScan(of, each));
    case "CONSTR_UNIQUE":
    case "CONSTR_PRIMARY":
    case "CONSTR_EXCLUSION":
      return has(constraint, "indexname") ? [] : [uniqueIndex(of)];
    default:
      return [];
  }
}

/** Both tables are locked against writes; without NOT VALID for as long as the rows are checked. */
export function referenceImpacts(constraint: Node, of: RelationName | undefined): Impact[] {
  const other = relation(child(constraint, "pktable"));
  const checked = of !== undefined && !has(constraint, "skip_validation");
  const instead = "add it as NOT VALID, and VALIDATE CONSTRAINT in a later migration";
  const rule = "adding-foreign-key-constraint";
  const tables = [...(of === undefined ? [] : [of]), ...(other === undefined ? [] : [other])];
  if (checked) {
    const does = "the new foreign key is checked row by row, while nobody writes";
    return tables.map((each) => ({ rule, relation: each, weight: "long", does, instead }));
  }
  return tables.map((each) => ({
    rule: "foreign-key-to-big-table",
    relation: each,
    weight: "short",
    does: "the new foreign key keeps others from writing until the migration is committed",
    instead: "let it be the last statement of its file",
  }));
}

function rewrite(of: RelationName, what: string): Impact {
  return {
    rule: "rewriting-table",
    relation: of,
    weight: "long",
    does: `${what} writes every row anew, while nobody reads or writes`,
    instead: "do it in a maintenance window, or copy the rows to a new table in batches",
  };
}

function checkScan(of: RelationName): Impact {
  return {
    rule: "constraint-missing-not-valid",
    relation: of,
    weight: "long",
    does: "the new CHECK reads every row, while nobody reads or writes",
    instead: "add it as NOT VALID, and VALIDATE CONSTRAINT in a later migration",
  };
}

function notNullScan(of: RelationName, column: string): Impact {
  return {
    rule: "adding-not-nullable-field",
    relation: of,
    weight: "long",
    does: `SET NOT NULL on ${column} reads every row, while nobody reads or writes`,
    instead: `first add CHECK (${column} IS NOT NULL) NOT VALID and VALIDATE it: then nothing is read`,
  };
}

function uniqueIndex(of: RelationName): Impact {
  return {
    rule: "disallowed-unique-constraint",
    relation: of,
    weight: "long",
    does: "the new constraint builds its index, while nobody reads or writes",
    instead: "CREATE UNIQUE INDEX CONCURRENTLY in a file of its own, then ADD CONSTRAINT … USING INDEX",
  };
}
