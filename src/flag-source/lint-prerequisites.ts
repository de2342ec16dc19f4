import { type FlagDefinition, kindOf } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import type { Problem } from "./lint.ts";
import { circleOf, prerequisiteOf } from "./prerequisites.ts";
import { referencesIn } from "./references.ts";

/** What is wrong with the flags that a flag needs; one that is not there is found with its rules. */
export function prerequisiteProblems(set: FlagSet, name: string, definition: FlagDefinition): Problem[] {
  const circle = circleOf(set, name, definition);
  const problems: Problem[] = [];
  if (circle !== undefined) {
    problems.push({
      severity: "error",
      rule: "prerequisite-circle",
      message: `asks for itself: ${circle.join(" → ")}`,
      hint: "a flag cannot be a prerequisite of itself",
    });
  }
  for (const reference of referencesIn(definition.targeting)) {
    const asked = prerequisiteOf({ $ref: reference });
    const needed = asked === undefined ? undefined : set.flags.get(asked)?.definition;
    if (needed === undefined || kindOf(needed) === "boolean") continue;
    problems.push({
      severity: "error",
      rule: "prerequisite-kind",
      message: `needs the flag ${asked}, which is of kind ${kindOf(needed) ?? "mixed"}: only a boolean flag is on or off`,
      hint: `make a boolean flag that both depend on, or take it away: ops flag require ${name} ${asked} --remove`,
    });
  }
  return problems;
}
