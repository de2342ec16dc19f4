import type { Rule } from "./definition.ts";
import type { FlagSet } from "./flag-set.ts";
import type { Problem } from "./lint.ts";
import { referencesIn } from "./references.ts";

/**
 * flagd puts shared rules in by replacing text, one after the other in the order in which they are written: a rule may
 * use another one only if that stands behind it. The replacing understands `$$`, `$&`, `` $` `` and `$'` (JavaScript).
 */
export function differingOrder(set: FlagSet, name: string, rule: Rule): Problem[] {
  const order = [...set.evaluators.keys()];
  const early = referencesIn(rule).filter(
    (each) => order.includes(each) && order.indexOf(each) <= order.indexOf(name),
  );
  const problems: Problem[] = early.map((each) => ({
    severity: "error",
    rule: "segment-order",
    message: each === name ? "uses itself" : `uses the segment ${each}, which is written before it`,
    hint: "flagd puts segments in from the first to the last: write out the rule of the other one",
  }));
  if (/\$[$&`']/.test(JSON.stringify(rule))) {
    problems.push({
      severity: "error",
      rule: "segment-text",
      message: "holds one of $$ $& $` $', which readers in JavaScript replace by other text",
    });
  }
  return problems;
}
