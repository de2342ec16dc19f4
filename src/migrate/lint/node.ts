import { isRecord } from "../statements.ts";
import type { RelationName } from "./live-database.ts";

/** A parse node, whose fields are looked at one by one. */
export type Node = Readonly<Record<string, unknown>>;

const nothing: Node = {};

/** The node in a field, which may stand bare or under the name of its type. */
export function child(node: Node, field: string, type?: string): Node {
  const value = node[field];
  if (!isRecord(value)) return nothing;
  const inside = type === undefined ? value : (value[type] ?? value);
  return isRecord(inside) ? inside : nothing;
}

export function has(node: Node, field: string): boolean {
  return node[field] !== undefined && node[field] !== false;
}

export function text(node: Node, field: string): string | undefined {
  const value = node[field];
  return typeof value === "string" ? value : undefined;
}

/** The nodes of one type in a list. */
export function children(node: Node, field: string, type: string): Node[] {
  const value = node[field];
  return Array.isArray(value)
    ? value.flatMap((each) => (isRecord(each) && isRecord(each[type]) ? [each[type]] : []))
    : [];
}

/** `a.b` of a list of names. */
export function names(node: Node, field: string): string[] {
  return children(node, field, "String").map((each) => text(each, "sval") ?? "");
}

/** The table of a RangeVar. */
export function relation(rangeVar: Node): RelationName | undefined {
  const name = text(rangeVar, "relname");
  return name === undefined ? undefined : { schema: text(rangeVar, "schemaname"), name };
}

/** Every function that is called anywhere inside, and CURRENT_TIMESTAMP and the like as nothing: they are stable. */
export function calledFunctions(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(calledFunctions);
  if (!isRecord(value)) return [];
  const own = isRecord(value.FuncCall) ? names(value.FuncCall, "funcname").slice(-1) : [];
  return [...own, ...Object.values(value).flatMap(calledFunctions)];
}
