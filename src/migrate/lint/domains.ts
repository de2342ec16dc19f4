import { nodeOf, type Statement } from "../statements.ts";
import type { LiveDatabase } from "./live-database.ts";
import { child, children, has, type Node, names, text } from "./node.ts";

interface MadeDomain {
  readonly name: readonly string[];
  readonly base: Node;
  readonly constrained: boolean;
}

/** The domains that the files so far make or change, over those that the database has. */
export class Domains {
  private readonly made: MadeDomain[] = [];

  note(statement: Statement): void {
    const node = nodeOf(statement);
    if (statement.kind === "CreateDomainStmt") {
      const constraints = children(node, "constraints", "Constraint").map((each) => text(each, "contype"));
      this.made.push({
        name: names(node, "domainname"),
        base: child(node, "typeName", "TypeName"),
        constrained: constraints.includes("CONSTR_CHECK") || constraints.includes("CONSTR_NOTNULL"),
      });
    }
    if (statement.kind === "AlterDomainStmt" && ["C", "O"].includes(text(node, "subtype") ?? "")) {
      this.made.push({ name: names(node, "typeName"), base: {}, constrained: true });
    }
  }

  /** Whether values of the type are checked, by the domain's own constraints or by those of the one below it. */
  async isConstrained(typeName: Node, database: LiveDatabase): Promise<boolean> {
    const name = names(typeName, "names");
    if (name.length === 0 || has(typeName, "arrayBounds")) return false;
    const known = this.made.filter((each) => isSame(each.name, name));
    for (const { constrained, base } of known) {
      if (constrained || (await this.isConstrained(base, database))) return true;
    }
    return database.isConstrainedDomain(name);
  }
}

/** A name without a schema may be the same type as one with it. */
function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.at(-1) === b.at(-1) && (a.length === 1 || b.length === 1 || a.at(-2) === b.at(-2));
}
