import type { FlagDefinition } from "./definition.ts";
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
