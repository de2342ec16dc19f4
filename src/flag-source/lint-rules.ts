import { canonicalJson } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type FlagDefinition, isRecord, operatorOf, type Rule } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import type { Problem } from "./lint.ts";
import { fractionalProblems } from "./lint-fractional.ts";
import { constantOf, operators } from "./operators.ts";
import { prerequisiteOf } from "./prerequisites.ts";
import { referenceOf } from "./references.ts";

/** What is wrong with a rule: of a flag, whose variants it must give, or a shared one (no definition). */
export function ruleFindings(
  set: FlagSet,
  rule: Rule | undefined,
  definition: FlagDefinition | undefined,
): Problem[] {
  if (!isRecord(rule) || Object.keys(rule).length === 0) return [];
  const problems = new Map<string, Problem>();
  const add = (each: Problem) => problems.set(`${each.rule} ${each.message}`, each);
  visitRules(rule, (part) => {
    for (const each of partProblems(set, part)) add(each);
  });
  if (definition !== undefined) {
    for (const each of resultProblems(set, rule, definition, 0)) add(each);
  }
  return [...problems.values()];
}

function visitRules(rule: Json | undefined, visit: (part: Json) => void): void {
  if (Array.isArray(rule)) for (const each of rule) visitRules(each, visit);
  else if (isRecord(rule)) {
    visit(rule);
    for (const each of Object.values(rule)) visitRules(each, visit);
  }
}

function partProblems(set: FlagSet, part: Json): Problem[] {
  const reference = referenceOf(part);
  if (reference !== undefined) return referenceProblems(set, reference);
  const found = operatorOf(part);
  if (found === undefined) {
    const keys = isRecord(part) ? Object.keys(part) : [];
    return [
      {
        severity: "error",
        rule: "operator",
        message: `has a rule with ${keys.length} keys (${keys.join(", ")}): a rule is one operator`,
        hint: 'join several with {"and": […]}',
      },
    ];
  }
  const [name, values] = found;
  if (!operators.has(name)) {
    return [
      {
        severity: "error",
        rule: "operator",
        message: `uses the unknown operator "${name}"`,
        hint: suggestion(name, operators),
      },
    ];
  }
  switch (name) {
    case "fractional":
      return fractionalProblems(values);
    case "starts_with":
    case "ends_with":
      return values.length === 2 ? [] : [countProblem(name, 2, values.length)];
    case "sem_ver":
      return semVerProblems(values);
    case "if":
      return branchProblems(values);
    default:
      return [];
  }
}

function referenceProblems(set: FlagSet, name: string): Problem[] {
  if (set.evaluators.has(name)) return [];
  const flag = prerequisiteOf({ $ref: name });
  return [
    {
      severity: "error",
      rule: "reference",
      message:
        flag === undefined
          ? `uses the segment ${name}, which is not there`
          : `needs the flag ${flag}, which is not there`,
      hint: flag === undefined ? suggestion(name, set.evaluators.keys()) : suggestion(flag, set.flags.keys()),
    },
  ];
}

function countProblem(name: string, wanted: number, found: number): Problem {
  return {
    severity: "error",
    rule: "arguments",
    message: `${name} takes ${wanted} values, not ${found}`,
  };
}

const comparisons = new Set(["=", "!=", "<", "<=", ">", ">=", "^", "~"]);

function semVerProblems(values: readonly Json[]): Problem[] {
  if (values.length !== 3) return [countProblem("sem_ver", 3, values.length)];
  const [left, comparison, right] = values;
  const problems: Problem[] = [];
  if (typeof comparison === "string" && !comparisons.has(comparison)) {
    problems.push({
      severity: "error",
      rule: "sem-ver",
      message: `sem_ver does not know the comparison "${comparison}"`,
      hint: `one of: ${[...comparisons].join(" ")}`,
    });
  }
  for (const each of [left, right]) {
    if (typeof each !== "string" || /^[vV]?\d+(\.\d+){0,2}(-[\w.-]+)?(\+[\w.-]+)?$/.test(each)) continue;
    problems.push({
      severity: "error",
      rule: "sem-ver",
      message: `"${each}" is no semantic version`,
      hint: "write it as 1.2.3",
    });
  }
  return problems;
}

/** Of `if`: condition, value, condition, value, …, value. */
function branchProblems(values: readonly Json[]): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  const unreachable = (message: string): void => {
    problems.push({ severity: "warning", rule: "unreachable", message, hint: "take out what never counts" });
  };
  for (let at = 0; at + 1 < values.length; at += 2) {
    const condition = values[at] ?? null;
    const text = canonicalJson(condition);
    const constant = constantOf(condition);
    if (constant === false) unreachable(`has a branch that is never taken: ${text} is never true`);
    else if (seen.has(text))
      unreachable(`has a branch that is never taken: ${text} stands before it as well`);
    else if (constant === true && at + 2 < values.length) {
      unreachable(`has branches that are never taken: ${text} before them is always true`);
      break;
    }
    seen.add(text);
  }
  return problems;
}

/** What the rule may give must be a variant; nothing (null) is the default. */
function resultProblems(
  set: FlagSet,
  rule: Json | undefined,
  definition: FlagDefinition,
  depth: number,
): Problem[] {
  if (rule === null || rule === undefined || depth > 50) return [];
  if (typeof rule !== "object") return variantProblems(String(rule), definition);
  const reference = referenceOf(rule);
  if (reference !== undefined) {
    return resultProblems(set, set.evaluators.get(reference), definition, depth + 1);
  }
  const [name, values = []] = operatorOf(rule) ?? [];
  const each = (given: readonly Json[]) =>
    given.flatMap((value) => resultProblems(set, value, definition, depth + 1));
  if (name === "if") {
    return each(values.filter((_, at) => at % 2 === 1 || (at === values.length - 1 && values.length > 1)));
  }
  if (name === "fractional") {
    return each(
      values.flatMap((share) => (Array.isArray(share) && share[0] !== undefined ? [share[0]] : [])),
    );
  }
  if (
    name === undefined ||
    ![
      "==",
      "===",
      "!=",
      "!==",
      "!",
      "!!",
      "in",
      "<",
      "<=",
      ">",
      ">=",
      "starts_with",
      "ends_with",
      "sem_ver",
    ].includes(name)
  ) {
    return [];
  }
  return [...variantProblems("true", definition), ...variantProblems("false", definition)];
}

function variantProblems(variant: string, { variants }: FlagDefinition): Problem[] {
  if (Object.hasOwn(variants, variant)) return [];
  return [
    {
      severity: "error",
      rule: "unknown-variant",
      message: `has a rule that gives "${variant}", which is none of its variants`,
      hint: suggestion(variant, Object.keys(variants)),
    },
  ];
}
