import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { HttpRouteTarget, Rule } from "./http-route.ts";

/**
 * The place of the rule that splits the traffic: the one that is named, or the only one that has all versions. Throws
 * `E_ROUTE_RULE` where it cannot be told, `E_ROUTE_SERVER` where a version is no backend of it.
 */
export function chooseRule(target: HttpRouteTarget, rules: readonly Rule[]): number {
  const services = Object.values(target.versions);
  const named = target.rule === undefined ? undefined : namedRule(target, target.rule, rules);
  const candidates = named === undefined ? [...rules.keys()] : [named];
  const [found, ...more] = candidates.filter((index) =>
    services.every((service) => backendsOf(rules, index).includes(service)),
  );
  if (found === undefined) throw missingBackend(target, rules, candidates);
  if (more.length > 0) {
    throw new UsageError(
      "E_ROUTE_RULE",
      `${1 + more.length} rules of HTTPRoute ${target.httpRoute} split traffic between ${services.join(" and ")}`,
      {
        hint: `say which as "rule:" of "routes: ${target.name}:" in .opsrc: ${[found, ...more].map((index) => spoken(rules, index)).join(", ")}`,
      },
    );
  }
  const twice = services.find(
    (service) => backendsOf(rules, found).filter((each) => each === service).length > 1,
  );
  if (twice === undefined) return found;
  throw new UsageError(
    "E_ROUTE_SERVER",
    `A rule of HTTPRoute ${target.httpRoute} has ${twice} twice among its backends`,
    { hint: "keep one of them: which of the two weights is meant cannot be told" },
  );
}

function namedRule(target: HttpRouteTarget, rule: string | number, rules: readonly Rule[]): number {
  const index = typeof rule === "number" ? rule : rules.findIndex((each) => each.name === rule);
  if (rules[index] !== undefined) return index;
  throw new UsageError("E_ROUTE_RULE", `HTTPRoute ${target.httpRoute} has no rule ${JSON.stringify(rule)}`, {
    hint:
      typeof rule === "number"
        ? `its rules are 0 to ${rules.length - 1}`
        : suggestion(
            rule,
            rules.flatMap((each) => each.name ?? []),
          ),
  });
}

function missingBackend(
  target: HttpRouteTarget,
  rules: readonly Rule[],
  candidates: readonly number[],
): UsageError {
  const present = [...new Set(candidates.flatMap((index) => backendsOf(rules, index)))];
  const missing = Object.entries(target.versions).find(([, service]) => !present.includes(service));
  if (missing === undefined) {
    return new UsageError(
      "E_ROUTE_SERVER",
      `No rule of HTTPRoute ${target.httpRoute} has all versions of the route ${target.name} as backends`,
      { hint: "let one rule have all of them as backendRefs, with weight 0 where they get no traffic yet" },
    );
  }
  const [version, service] = missing;
  return new UsageError(
    "E_ROUTE_SERVER",
    `HTTPRoute ${target.httpRoute} has no backend "${service}" (${version})`,
    { hint: `${suggestion(service, present)}; a new one is added to its backendRefs with weight 0 first` },
  );
}

function backendsOf(rules: readonly Rule[], index: number): string[] {
  return (rules[index]?.backendRefs ?? []).map((each) => each.name);
}

function spoken(rules: readonly Rule[], index: number): string {
  return rules[index]?.name ?? String(index);
}
