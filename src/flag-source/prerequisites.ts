import { type FlagDefinition, hasTargeting, operatorOf, type Rule } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import { everyState } from "./off.ts";
import { referenceOf, referencesIn, rewritten } from "./references.ts";

/*
 * flagd knows no prerequisites: a flag's rules cannot ask for another flag. So a flag that is a prerequisite of others
 * gets a shared rule, `flag:NAME`, that is true where the flag itself is on, for the same users. `ops` writes it again
 * with every change, so it is right in every reader of the format. It refers to no other rule: those are written out.
 */

const prefix = "flag:";

/** The rule that is true where the flag is on. */
export function prerequisiteRule(flag: string): Rule {
  return { $ref: `${prefix}${flag}` };
}

/** The flag that a rule asks for; undefined for every other rule. */
export function prerequisiteOf(rule: Rule | undefined): string | undefined {
  const name = referenceOf(rule);
  return name?.startsWith(prefix) === true ? name.slice(prefix.length) : undefined;
}

/** Whether `ops` writes the shared rule of this name. */
export function isPrerequisiteName(name: string): boolean {
  return name.startsWith(prefix);
}

/** The set with the shared rule of every flag that another one asks for as it is now, and none of those no longer used. */
export function withPrerequisites(set: FlagSet): FlagSet {
  const evaluators = new Map(set.evaluators);
  const asked = new Set(
    [...set.flags.values()]
      .flatMap(({ definition }) => everyState(definition).map((each) => each.targeting))
      .concat([...set.evaluators].filter(([name]) => !isPrerequisiteName(name)).map(([, rule]) => rule))
      .flatMap(referencesIn)
      .filter((name) => isPrerequisiteName(name) && set.flags.has(name.slice(prefix.length))),
  );
  for (const name of set.evaluators.keys()) {
    if (isPrerequisiteName(name) && !asked.has(name)) evaluators.delete(name);
  }
  for (const name of asked) evaluators.set(name, isOnRule(set, name.slice(prefix.length), []));
  return { ...set, evaluators };
}

const always: Rule = { "===": [1, 1] };
const never: Rule = { "===": [1, 0] };

/**
 * The way from a flag over those that it needs back to itself; undefined where there is none.
 *
 * @param definition of the flag; all others count as they are in the set
 */
export function circleOf(set: FlagSet, name: string, definition: FlagDefinition): string[] | undefined {
  const seen = new Set<string>();
  const search = (rule: Rule | undefined, way: readonly string[]): string[] | undefined => {
    for (const reference of referencesIn(rule)) {
      const asked = prerequisiteOf({ $ref: reference });
      if (asked === name) return [...way, name];
      if (seen.has(reference)) continue;
      seen.add(reference);
      const found =
        asked === undefined
          ? search(set.evaluators.get(reference), way)
          : search(set.flags.get(asked)?.definition.targeting, [...way, asked]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(definition.targeting, [name]);
}

/** True where the flag gives a variant whose value is true. Of flags that ask for each other, which lint tells, none is on. */
function isOnRule(set: FlagSet, name: string, askedBy: readonly string[]): Rule {
  const definition = set.flags.get(name)?.definition;
  if (definition === undefined || definition.state === "DISABLED" || askedBy.includes(name)) return never;
  const isOn = isDefaultOn(definition);
  if (!hasTargeting(definition) || definition.targeting === undefined) return isOn ? always : never;
  const whole = writtenOut(set, name, definition.targeting, askedBy, []);
  // Nothing at all (null) means the default variant.
  return isOn
    ? { "!": [{ in: [whole, variantsOf(definition, false)] }] }
    : { in: [whole, variantsOf(definition, true)] };
}

function isDefaultOn({ defaultVariant, variants }: FlagDefinition): boolean {
  return typeof defaultVariant === "string" && variants[defaultVariant] === true;
}

function variantsOf({ variants }: FlagDefinition, value: boolean): string[] {
  return Object.keys(variants).filter((each) => variants[each] === value);
}

/** A flag's rule as another flag may ask it: no references, and users stand where they stand in this flag. */
function writtenOut(
  set: FlagSet,
  flag: string,
  rule: Rule,
  askedBy: readonly string[],
  within: readonly string[],
): Rule {
  return rewritten(rule, (part) => {
    const asked = prerequisiteOf(part);
    if (asked !== undefined) return isOnRule(set, asked, [...askedBy, flag]);
    const name = referenceOf(part);
    if (name !== undefined) {
      const shared = set.evaluators.get(name);
      // One that is missing, or uses itself, is for lint to tell.
      if (shared === undefined || within.includes(name)) return part;
      return writtenOut(set, flag, shared, askedBy, [...within, name]);
    }
    const [operator, values = []] = operatorOf(part) ?? [];
    if (operator === "var" && values[0] === "$flagd.flagKey") return flag;
    if (operator !== "fractional" || !Array.isArray(values[0])) return undefined;
    const shares = values.map((each) => writtenOut(set, flag, each, askedBy, within));
    // Without a targeting key a share gives nothing; with the flag's name before it the buckets are that flag's.
    const key: Rule = { var: "targetingKey" };
    return { if: [key, { fractional: [{ cat: [flag, key] }, ...shares] }, null] };
  });
}
