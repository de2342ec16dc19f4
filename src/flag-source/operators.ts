import type { Json } from "../core/errors.ts";
import { operatorOf } from "./definition.ts";

/** What flagd's schema of targeting allows. */
export const operators: ReadonlySet<string> = new Set([
  ...["var", "missing", "missing_some", "if", "==", "===", "!=", "!==", "!", "!!", "or", "and"],
  ...[">", ">=", "<", "<=", "max", "min", "+", "-", "*", "/", "%"],
  ...["map", "filter", "reduce", "all", "none", "some", "merge", "in", "cat", "substr"],
  ...["fractional", "sem_ver", "starts_with", "ends_with", "$ref"],
]);

/** Whether a condition is the same for everybody; undefined where it depends on who asks. */
export function constantOf(condition: Json): boolean | undefined {
  if (condition === null || typeof condition !== "object") return Boolean(condition);
  const [name, values = []] = operatorOf(condition) ?? [];
  const [a, b] = values;
  if (values.some((each) => each !== null && typeof each === "object")) return undefined;
  if (name === "===" && values.length === 2) return a === b;
  if (name === "!==" && values.length === 2) return a !== b;
  return undefined;
}
