import { isRecord, nodeOf, type Statement } from "./statements.ts";

/** Tables, columns (`table.column`), indexes and the like that statements are about; without their schemas. */
export interface TouchedNames {
  readonly made: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
  readonly used: ReadonlySet<string>;
}

type Node = Readonly<Record<string, unknown>>;

/** What the parser shows; not what a function's body or EXECUTE does. */
export function touchedNames(statements: readonly Statement[]): TouchedNames {
  const made = new Set<string>();
  const removed = new Set<string>();
  const used = new Set<string>();
  for (const statement of statements) {
    const node = nodeOf(statement);
    const table = relationName(node.relation);
    switch (statement.kind) {
      case "AlterTableStmt":
        for (const command of nodes(node.cmds, "AlterTableCmd")) {
          const column =
            isRecord(command.def) && isRecord(command.def.ColumnDef) ? command.def.ColumnDef : {};
          const subtype = String(command.subtype);
          if (subtype === "AT_AddColumn") made.add(`${table}.${column.colname}`);
          else if (subtype === "AT_DropColumn") removed.add(`${table}.${command.name}`);
          else if (typeof command.name === "string") used.add(`${table}.${command.name}`);
        }
        break;
      case "RenameStmt": {
        const prefix = node.renameType === "OBJECT_COLUMN" ? `${table}.` : "";
        removed.add(prefix === "" ? table : `${prefix}${node.subname}`);
        made.add(`${prefix}${node.newname}`);
        break;
      }
      case "DropStmt":
        for (const name of droppedNames(node)) removed.add(name);
        break;
      case "CreateStmt":
        made.add(table);
        break;
      case "IndexStmt":
        if (typeof node.idxname === "string") made.add(node.idxname);
        break;
      case "ViewStmt":
        made.add(relationName(node.view));
        break;
    }
    for (const name of usedNames(node)) if (!made.has(name)) used.add(name);
  }
  return { made, removed, used };
}

/** Every table of a statement, and every column name it holds, on each of its tables. */
function usedNames(node: Node): string[] {
  const tables = new Set<string>();
  const columns = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) visit(each);
    else if (isRecord(value)) visitNode(value);
  };
  const visitNode = (value: Node): void => {
    if (typeof value.relname === "string") tables.add(value.relname);
    if (isRecord(value.ColumnRef)) columns.add(lastText(value.ColumnRef.fields));
    for (const holder of [value.ResTarget, value.IndexElem]) {
      if (isRecord(holder) && typeof holder.name === "string") columns.add(holder.name);
    }
    for (const each of Object.values(value)) visit(each);
  };
  visit(node);
  return [...tables].flatMap((table) => [table, ...[...columns].map((column) => `${table}.${column}`)]);
}

function droppedNames(node: Node): string[] {
  return nodes(node.objects, "List").map((each) => lastText(each.items));
}

function relationName(value: unknown): string {
  return isRecord(value) && typeof value.relname === "string" ? value.relname : "";
}

function nodes(list: unknown, kind: string): Node[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((each: unknown) => {
    const inside = isRecord(each) ? each[kind] : undefined;
    return isRecord(inside) ? [inside] : [];
  });
}

function lastText(list: unknown): string {
  return String(nodes(list, "String").at(-1)?.sval ?? "");
}
