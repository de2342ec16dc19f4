import { nodeOf, type Statement } from "../statements.ts";
import type { LiveDatabase, RelationName } from "./live-database.ts";
import { isSameRelation } from "./made.ts";
import { child, children, has, type Node, names, relation, text } from "./node.ts";

interface NotNullCheck {
  readonly relation: RelationName;
  readonly name: string;
  readonly column: string;
  readonly valid: boolean;
}

/** Each CHECK (column IS NOT NULL) that the files so far add or validate, over those that the database has. */
export class NotNullChecks {
  private checks: readonly NotNullCheck[] = [];

  async note(statement: Statement, database: LiveDatabase): Promise<void> {
    const node = nodeOf(statement);
    const of = relation(child(node, "relation", "RangeVar"));
    if (statement.kind !== "AlterTableStmt" || of === undefined) return;
    for (const command of children(node, "cmds", "AlterTableCmd")) {
      const name = text(command, "name") ?? "";
      const isNamed = (each: NotNullCheck) => each.name === name && isSameRelation(each.relation, of);
      switch (text(command, "subtype")) {
        case "AT_AddConstraint":
          this.checks = [...this.checks, ...added(child(command, "def", "Constraint"), of)];
          break;
        case "AT_ValidateConstraint": {
          const live = (await database.table(of))?.notNullChecks.get(name);
          const known = live === undefined ? [] : [{ relation: of, name, column: live, valid: false }];
          this.checks = [...this.checks, ...known].map((each) =>
            isNamed(each) ? { ...each, valid: true } : each,
          );
          break;
        }
        case "AT_DropConstraint":
          this.checks = this.checks.filter((each) => !isNamed(each));
          break;
      }
    }
  }

  /** Whether a valid one holds: SET NOT NULL then reads nothing, from PostgreSQL 12 on. */
  proves(of: RelationName, column: string): boolean {
    return this.checks.some(
      (each) => each.valid && each.column === column && isSameRelation(each.relation, of),
    );
  }
}

function added(constraint: Node, of: RelationName): NotNullCheck[] {
  const tested = child(child(constraint, "raw_expr", "NullTest"), "arg", "ColumnRef");
  const isNotNull = text(child(constraint, "raw_expr", "NullTest"), "nulltesttype") === "IS_NOT_NULL";
  const column = names(tested, "fields").at(-1);
  if (text(constraint, "contype") !== "CONSTR_CHECK" || !isNotNull || column === undefined) return [];
  // As PostgreSQL names it.
  const name = text(constraint, "conname") ?? `${of.name}_${column}_check`;
  return [{ relation: of, name, column, valid: !has(constraint, "skip_validation") }];
}
