import type { Json } from "../core/errors.ts";
import {
  type FlagDefinition,
  hasTargeting,
  offVariant,
  operatorOf,
  type Rule,
} from "../flag-source/definition.ts";
import { prerequisiteOf, prerequisiteRule } from "../flag-source/prerequisites.ts";
import { referenceOf } from "../flag-source/references.ts";

/** Who is meant: those whose attribute is one of some values, or those for whom a segment is true. */
export type Audience =
  | { readonly attribute: string; readonly values: readonly string[] }
  | { readonly segment: string };

export interface Listed {
  readonly audience: Audience;
  readonly variant: string;
}

/**
 * A flag's targeting as a chain, the first that fits counts: those who never have it, the flags without which nobody
 * has it, those who always have it, rules of one's own, times from which something else counts, and the rest. Nothing
 * beside the targeting tells which part is which, so what somebody wrote by hand in the same form is understood.
 */
export interface Layers {
  readonly deny: readonly Listed[];
  /** Names of flags. */
  readonly needs: readonly string[];
  readonly allow: readonly Listed[];
  /** Condition and what it gives. */
  readonly rules: readonly (readonly [condition: Rule, value: Rule])[];
  /** Seconds since 1970 and what counts from then on; the latest first. */
  readonly times: readonly (readonly [from: number, value: Rule])[];
  /** What all others get: a variant, a share, or a rule. */
  readonly rest: Rule;
}

export function layersOf(definition: FlagDefinition): Layers {
  const off = offVariant(definition);
  const rest: Rule = definition.defaultVariant ?? null;
  const none: Layers = { deny: [], needs: [], allow: [], rules: [], times: [], rest };
  if (!hasTargeting(definition) || definition.targeting === undefined) return none;
  const [operator, values = []] = operatorOf(definition.targeting) ?? [];
  if (operator !== "if") return { ...none, rest: definition.targeting };
  const pairs = pairsOf(values);
  const last = values.length % 2 === 1 ? (values.at(-1) ?? rest) : rest;
  const take = <T>(part: (condition: Rule, value: Rule) => T | undefined): T[] => {
    const taken: T[] = [];
    for (;;) {
      const [next] = pairs;
      const found = next === undefined ? undefined : part(next[0], next[1]);
      if (found === undefined) return taken;
      taken.push(found);
      pairs.shift();
    }
  };
  const deny = take((condition, value) => (value === off ? listed(condition, value) : undefined));
  const needs = take((condition, value) => (value === off ? needed(condition) : undefined));
  const allow = take((condition, value) => (value === off ? undefined : listed(condition, value)));
  const times: [number, Rule][] = [];
  for (;;) {
    const [condition, value] = pairs.at(-1) ?? [];
    const from = timeOf(condition);
    if (from === undefined || value === undefined) break;
    times.unshift([from, value]);
    pairs.pop();
  }
  return { deny, needs, allow, rules: pairs, times, rest: last };
}

/** The definition with these layers; without any, and with a plain variant for the rest, that is its default variant. */
export function withLayers(definition: FlagDefinition, layers: Layers): FlagDefinition {
  const off = offVariant(definition) ?? null;
  const chain: Rule[] = [
    ...layers.deny.flatMap(({ audience, variant }) => [conditionOf(audience), variant]),
    ...layers.needs.flatMap((flag) => [{ "!": [prerequisiteRule(flag)] }, off]),
    ...layers.allow.flatMap(({ audience, variant }) => [conditionOf(audience), variant]),
    ...layers.rules.flat(),
    ...layers.times
      .toSorted(([a], [b]) => b - a)
      .flatMap(([from, value]) => [{ ">=": [{ var: "$flagd.timestamp" }, from] }, value]),
  ];
  const { targeting: _, ...plain } = definition;
  if (chain.length === 0 && (layers.rest === null || typeof layers.rest === "string")) {
    return { ...plain, defaultVariant: layers.rest ?? definition.defaultVariant ?? null };
  }
  const targeting = chain.length === 0 ? layers.rest : { if: [...chain, layers.rest] };
  const { metadata, ...before } = plain;
  // In the order in which people write it: metadata stands last.
  return { ...before, targeting, ...(metadata !== undefined && { metadata }) };
}

/** The flag as it counts at a moment: times that have passed are no longer in it, what they brought is. */
export function settledAt(definition: FlagDefinition, now: Date): FlagDefinition {
  const layers = layersOf(definition);
  const passed = layers.times.filter(([from]) => from * 1000 <= now.getTime());
  const [latest] = passed;
  if (latest === undefined) return definition;
  const rest: Rule = latest[1];
  const settled = { ...layers, times: layers.times.filter((each) => !passed.includes(each)), rest };
  return withLayers(definition, settled);
}

export function conditionOf(audience: Audience): Rule {
  if ("segment" in audience) return { $ref: audience.segment };
  return { in: [{ var: audience.attribute }, [...audience.values]] };
}

/** Seconds since 1970 from which the condition holds. */
function timeOf(condition: Rule | undefined): number | undefined {
  const [operator, [left, right] = []] = operatorOf(condition) ?? [];
  if (operator !== ">=" || attributeOf(left) !== "$flagd.timestamp") return undefined;
  return typeof right === "number" ? right : undefined;
}

function pairsOf(values: readonly Rule[]): [Rule, Rule][] {
  const pairs: [Rule, Rule][] = [];
  for (let at = 0; at + 1 < values.length; at += 2) pairs.push([values[at] ?? null, values[at + 1] ?? null]);
  return pairs;
}

function listed(condition: Rule, variant: Rule): Listed | undefined {
  const audience = audienceOf(condition);
  return audience === undefined || typeof variant !== "string" ? undefined : { audience, variant };
}

function audienceOf(condition: Rule): Audience | undefined {
  const segment = referenceOf(condition);
  if (segment !== undefined) return { segment };
  const [operator, [left, right] = []] = operatorOf(condition) ?? [];
  const attribute = attributeOf(left);
  if (operator !== "in" || attribute === undefined || !Array.isArray(right)) return undefined;
  return right.every((each): each is string => typeof each === "string")
    ? { attribute, values: right }
    : undefined;
}

function attributeOf(rule: Json | undefined): string | undefined {
  const [operator, values = []] = operatorOf(rule) ?? [];
  return operator === "var" && values.length === 1 && typeof values[0] === "string" ? values[0] : undefined;
}

function needed(condition: Rule): string | undefined {
  const [operator, [asked] = []] = operatorOf(condition) ?? [];
  return operator === "!" ? prerequisiteOf(asked) : undefined;
}
