import { isRecord } from "../statements.ts";

/** A comparison of a column with a placeholder, read as `column relation placeholder`. */
export interface Bound {
  readonly parameter: number;
  readonly column: Column;
  readonly relation: string;
}

/** A column as it is written: `u.id`. */
export interface Column {
  /** The last part: `id`. */
  readonly name: string;
  /** The parts before it: `["u"]`, `["app", "users"]`. */
  readonly qualifier: readonly string[];
  /** Byte of the text at which it begins. */
  readonly byte: number;
}

const mirrored: Readonly<Record<string, string>> = { ">": "<", ">=": "<=", "<": ">", "<=": ">=" };

/** The conditions of a WHERE that must all hold: its terms between AND. */
export function conjuncts(where: unknown): readonly unknown[] {
  if (!isRecord(where)) return [];
  const { BoolExpr: expression } = where;
  if (!isRecord(expression) || expression.boolop !== "AND_EXPR") return [where];
  return listOf(expression.args).flatMap(conjuncts);
}

/** The comparisons of columns with parameters that a condition itself makes. */
export function boundsOf(condition: unknown): Bound[] {
  if (!isRecord(condition) || !isRecord(condition.A_Expr)) return [];
  const { kind, lexpr, rexpr, name } = condition.A_Expr;
  if (kind === "AEXPR_BETWEEN") {
    const [low, high] = isRecord(rexpr) && isRecord(rexpr.List) ? listOf(rexpr.List.items) : [];
    return [...bound(lexpr, ">=", low), ...bound(lexpr, "<=", high)];
  }
  if (kind !== "AEXPR_OP") return [];
  const operator = textOf(listOf(name).at(-1));
  return [...bound(lexpr, operator, rexpr), ...bound(rexpr, mirrored[operator] ?? operator, lexpr)];
}

/** The two columns of a condition `a = b`. */
export function equalColumns(condition: unknown): readonly [Column, Column] | undefined {
  if (!isRecord(condition) || !isRecord(condition.A_Expr)) return undefined;
  const { kind, lexpr, rexpr, name } = condition.A_Expr;
  if (kind !== "AEXPR_OP" || textOf(listOf(name).at(-1)) !== "=") return undefined;
  const left = columnOf(lexpr);
  const right = columnOf(rexpr);
  return left === undefined || right === undefined ? undefined : [left, right];
}

function bound(left: unknown, relation: string, right: unknown): Bound[] {
  const column = columnOf(left);
  const parameter = parameterOf(right);
  return column === undefined || parameter === undefined ? [] : [{ parameter, column, relation }];
}

function columnOf(node: unknown): Column | undefined {
  if (!isRecord(node) || !isRecord(node.ColumnRef)) return undefined;
  const parts = listOf(node.ColumnRef.fields).map(textOf);
  const name = parts.at(-1);
  if (!name) return undefined;
  return { name, qualifier: parts.slice(0, -1), byte: Number(node.ColumnRef.location ?? 0) };
}

/** Through casts. */
function parameterOf(node: unknown): number | undefined {
  if (!isRecord(node)) return undefined;
  if (isRecord(node.TypeCast)) return parameterOf(node.TypeCast.arg);
  return isRecord(node.ParamRef) ? Number(node.ParamRef.number) : undefined;
}

function textOf(node: unknown): string {
  return isRecord(node) && isRecord(node.String) ? String(node.String.sval) : "";
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
