import type { FlagDefinition } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import { flagFindings } from "./lint-flag.ts";
import { prerequisiteProblems } from "./lint-prerequisites.ts";
import { ruleFindings } from "./lint-rules.ts";
import { schemaFinding } from "./lint-schema.ts";
import { differingOrder } from "./lint-shared.ts";
import { everyState } from "./off.ts";

/** Something that is wrong with a flag or a shared rule, or will be. */
export interface Finding {
  /** An error is never stored; a warning is for a person to decide. */
  readonly severity: "error" | "warning";
  readonly subject: "flag" | "segment";
  readonly name: string;
  /** Stable, for scripts: `fractional-weight`. */
  readonly rule: string;
  /** Without the name. */
  readonly message: string;
  readonly hint?: string;
}

/** A finding before it is known whose it is. */
export type Problem = Omit<Finding, "subject" | "name">;

export interface LintOptions {
  /** Only flags and shared rules of these names. Default: all. */
  readonly only?: ReadonlySet<string> | undefined;
  /** Finds what has expired; without it nothing has. */
  readonly now?: Date | undefined;
}

/** Everything that is wrong in a set, in its order. */
export function findings(set: FlagSet, { only, now }: LintOptions = {}): Finding[] {
  const wanted = (name: string) => only === undefined || only.has(name);
  const flags = [...set.flags]
    .filter(([name]) => wanted(name))
    .flatMap(([name, { definition }]) => {
      const problems = new Map<string, Problem>();
      for (const each of everyState(definition)) {
        for (const problem of definitionProblems(set, name, each, now))
          problems.set(problem.message, problem);
      }
      return [...problems.values()].map((each) => ({ subject: "flag" as const, name, ...each }));
    });
  const segments = [...set.evaluators]
    .filter(([name]) => wanted(name))
    .flatMap(([name, rule]) =>
      [...ruleFindings(set, rule, undefined), ...differingOrder(set, name, rule)].map((each) => ({
        subject: "segment" as const,
        name,
        ...each,
      })),
    );
  const unreadable = [...(set.unreadable?.keys() ?? [])].filter(wanted).map(
    (name): Finding => ({
      severity: "error",
      subject: "flag",
      name,
      rule: "definition",
      message: "has a definition that is not one of flagd",
      hint: `somebody wrote it by hand; mend it there, or: ops flag remove ${name}`,
    }),
  );
  return [...unreadable, ...flags, ...segments];
}

/** The schema has the last word, and speaks only where nobody could say it better. */
function definitionProblems(
  set: FlagSet,
  name: string,
  definition: FlagDefinition,
  now: Date | undefined,
): Problem[] {
  const problems = [
    ...flagFindings(name, definition, now),
    ...ruleFindings(set, definition.targeting, definition),
    ...prerequisiteProblems(set, name, definition),
  ];
  if (problems.some((each) => each.severity === "error")) return problems;
  const schema = schemaFinding(set, name, definition);
  return schema === undefined ? problems : [...problems, schema];
}
