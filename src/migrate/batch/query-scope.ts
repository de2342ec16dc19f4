import { isRecord } from "../statements.ts";
import { type Column, listOf } from "./bounds.ts";

type Node = Readonly<Record<string, unknown>>;

/** What a WHERE may name columns of. */
export interface Relation {
  /** Its alias, or the last part of its name. */
  readonly alias: string;
  /** The table's own name; undefined for what is no table: a subquery, a function. */
  readonly table: string | undefined;
  readonly schema: string | undefined;
  readonly role: "target" | "joined" | "outer-joined";
  /** What keeps some of its rows out before any WHERE, as it is written: `ONLY`, `TABLESAMPLE`. */
  readonly picks: string | undefined;
}

/** A statement or a WITH query, seen from its WHERE. */
export interface QueryScope {
  readonly where: unknown;
  /** The table that an UPDATE or a DELETE changes comes first. */
  readonly relations: readonly Relation[];
  /** What picks some of the rows that the WHERE lets through, as it is written: `LIMIT`. */
  readonly picks: string | undefined;
  readonly withs: readonly { readonly name: string; readonly kind: string; readonly node: Node }[];
}

export function scopeOf(kind: string, node: Node): QueryScope {
  if (kind === "InsertStmt") {
    const select = scopeOf("SelectStmt", inside(node.selectStmt)?.[1] ?? {});
    return { ...select, withs: [...withsOf(node), ...select.withs] };
  }
  const target = kind === "SelectStmt" ? [] : relationsOf({ RangeVar: node.relation }, "target");
  const from = listOf(kind === "DeleteStmt" ? node.usingClause : node.fromClause);
  return {
    where: node.whereClause,
    relations: [...target, ...from.flatMap((each) => relationsOf(each, "joined"))],
    picks: picksOf(kind, node),
    withs: withsOf(node),
  };
}

/** Whose column it is; undefined where the text alone does not tell. */
export function relationOf(column: Column, relations: readonly Relation[]): Relation | undefined {
  const [alias, schema] = [...column.qualifier].reverse();
  if (alias === undefined) return relations.length === 1 ? relations[0] : undefined;
  return relations.find(
    (each) =>
      each.alias === alias && (schema === undefined || each.schema === undefined || each.schema === schema),
  );
}

function relationsOf(item: unknown, role: Relation["role"]): Relation[] {
  const [kind, node] = inside(item) ?? [];
  if (node === undefined) return [];
  const alias = isRecord(node.alias) ? String(node.alias.aliasname) : undefined;
  if (kind === "RangeVar") {
    const table = String(node.relname);
    const schema = node.schemaname === undefined ? undefined : String(node.schemaname);
    return [{ alias: alias ?? table, table, schema, role, picks: node.inh === true ? undefined : "ONLY" }];
  }
  if (kind === "RangeTableSample") {
    return relationsOf(node.relation, role).map((each) => ({ ...each, picks: "TABLESAMPLE" }));
  }
  if (kind === "JoinExpr" && alias === undefined) {
    const side = node.jointype === "JOIN_INNER" ? role : "outer-joined";
    return [...relationsOf(node.larg, side), ...relationsOf(node.rarg, side)];
  }
  return [{ alias: alias ?? "", table: undefined, schema: undefined, role, picks: undefined }];
}

function picksOf(kind: string, node: Node): string | undefined {
  if (kind !== "SelectStmt") return undefined;
  if (node.limitCount !== undefined && !isLimitAll(node.limitCount)) {
    return node.limitOption === "LIMIT_OPTION_WITH_TIES" ? "FETCH FIRST" : "LIMIT";
  }
  if (node.limitOffset !== undefined) return "OFFSET";
  const skips = listOf(node.lockingClause).some((each) => inside(each)?.[1].waitPolicy === "LockWaitSkip");
  return skips ? "SKIP LOCKED" : undefined;
}

function isLimitAll(count: unknown): boolean {
  return isRecord(count) && isRecord(count.A_Const) && count.A_Const.isnull === true;
}

function withsOf(node: Node): QueryScope["withs"] {
  const clause = isRecord(node.withClause) ? listOf(node.withClause.ctes) : [];
  return clause.flatMap((each) => {
    const expression = inside(each)?.[1];
    const query = inside(expression?.ctequery);
    return query === undefined ? [] : [{ name: String(expression?.ctename), kind: query[0], node: query[1] }];
  });
}

/** `{ Kind: { … } }` taken apart. */
export function inside(value: unknown): readonly [string, Node] | undefined {
  if (!isRecord(value)) return undefined;
  const [entry] = Object.entries(value);
  return entry !== undefined && isRecord(entry[1]) ? [entry[0], entry[1]] : undefined;
}
