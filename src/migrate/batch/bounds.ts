import { isRecord } from "../statements.ts";

/** A comparison of a column with a placeholder, read as `column relation placeholder`. */
export interface Bound {
  readonly parameter: number;
  /** The last part of the column's name: `id` of `u.id`. */
  readonly column: string;
  readonly relation: string;
}

const mirrored: Readonly<Record<string, string>> = { ">": "<", ">=": "<=", "<": ">", "<=": ">=" };

/** Every comparison of a column with a parameter in a parse node, however deep. */
export function boundsIn(node: unknown): Bound[] {
  if (Array.isArray(node)) return node.flatMap(boundsIn);
  if (!isRecord(node)) return [];
  const own = isRecord(node.A_Expr) ? boundsOf(node.A_Expr) : [];
  return [...own, ...Object.values(node).flatMap(boundsIn)];
}

function boundsOf(expression: Readonly<Record<string, unknown>>): Bound[] {
  const { kind, lexpr, rexpr } = expression;
  if (kind === "AEXPR_BETWEEN") {
    const [low, high] = isRecord(rexpr) && isRecord(rexpr.List) ? listOf(rexpr.List.items) : [];
    return [...bound(lexpr, ">=", low), ...bound(lexpr, "<=", high)];
  }
  if (kind !== "AEXPR_OP") return [];
  const operator = textOf(listOf(expression.name).at(-1));
  return [...bound(lexpr, operator, rexpr), ...bound(rexpr, mirrored[operator] ?? operator, lexpr)];
}

function bound(left: unknown, relation: string, right: unknown): Bound[] {
  const column = columnOf(left);
  const parameter = parameterOf(right);
  return column === undefined || parameter === undefined ? [] : [{ parameter, column, relation }];
}

function columnOf(node: unknown): string | undefined {
  if (!isRecord(node) || !isRecord(node.ColumnRef)) return undefined;
  return textOf(listOf(node.ColumnRef.fields).at(-1)) || undefined;
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
