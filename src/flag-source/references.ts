import type { Json } from "../core/errors.ts";
import { isRecord, type Rule } from "./definition.ts";

/** The name of the shared rule that a rule stands for: `{"$ref": "beta"}`. */
export function referenceOf(rule: Json | undefined): string | undefined {
  if (!isRecord(rule)) return undefined;
  const name = rule.$ref;
  return Object.keys(rule).length === 1 && typeof name === "string" ? name : undefined;
}

/** The names of all shared rules that a rule uses itself, each once. */
export function referencesIn(rule: Json | undefined): string[] {
  const found = new Set<string>();
  const visit = (each: Json | undefined): void => {
    const name = referenceOf(each);
    if (name !== undefined) found.add(name);
    else if (Array.isArray(each)) each.forEach(visit);
    else if (isRecord(each)) Object.values(each).forEach(visit);
  };
  visit(rule);
  return [...found];
}

/** The rule with what `replace` gives in place of its parts, from the outside inwards; undefined leaves a part. */
export function rewritten(rule: Rule, replace: (part: Rule) => Rule | undefined): Rule {
  const found = replace(rule);
  if (found !== undefined) return found;
  if (Array.isArray(rule)) return rule.map((each) => rewritten(each, replace));
  if (!isRecord(rule)) return rule;
  return Object.fromEntries(
    Object.entries(rule).map(([key, each]) => [key, each === undefined ? each : rewritten(each, replace)]),
  );
}
