import type { FlagDefinition, Rule } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import { everyState } from "./off.ts";
import { referencesIn } from "./references.ts";

/** The names of all shared rules that a flag uses itself, now or when what it remembers counts again; each once. */
export function referencesOf(definition: FlagDefinition): string[] {
  return [...new Set(everyState(definition).flatMap((each) => referencesIn(each.targeting)))];
}

/** What uses one of these shared rules, by itself or by another shared rule. */
export function usersOf(
  set: FlagSet,
  names: Iterable<string>,
): { readonly flags: ReadonlySet<string>; readonly segments: ReadonlySet<string> } {
  const used = new Set(names);
  const segments = new Set<string>();
  const uses = (references: readonly string[]): boolean => references.some((each) => used.has(each));
  // Whatever their order: one by hand may be wrong.
  for (let found = -1; found < segments.size; ) {
    found = segments.size;
    for (const [name, rule] of set.evaluators) {
      if (segments.has(name) || !uses(referencesIn(rule))) continue;
      segments.add(name);
      used.add(name);
    }
  }
  const flags = [...set.flags].filter(([, { definition }]) => uses(referencesOf(definition)));
  return { flags: new Set(flags.map(([name]) => name)), segments };
}

/** The shared rules that a rule needs, by itself or by one of them, in their order. */
export function evaluatorsOf(set: FlagSet, rule: Rule | undefined): Map<string, Rule> {
  const needed = new Set<string>();
  const search = (each: Rule | undefined): void => {
    for (const name of referencesIn(each)) {
      if (needed.has(name)) continue;
      needed.add(name);
      search(set.evaluators.get(name));
    }
  };
  search(rule);
  return new Map([...set.evaluators].filter(([name]) => needed.has(name)));
}
