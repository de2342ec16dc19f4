import { AlbClient } from "../alb/client.ts";
import { readForwardRule } from "../alb/forward-rule.ts";
import type { AlbRouteTarget } from "../config/environment.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Finding, missing, ok } from "./finding.ts";

/**
 * Whether AWS answers and the rule forwards to every version. Whether these credentials may change it, AWS tells only
 * who tries. Throws where AWS does not answer.
 */
export async function albFinding(route: AlbRouteTarget, signal: AbortSignal): Promise<Finding> {
  const { groups } = await readForwardRule(new AlbClient(route), signal);
  const subject = `route ${route.name}`;
  const absent = Object.entries(route.versions).find(
    ([, group]) => !groups.some(({ arn, name }) => group === arn || group === name),
  );
  if (absent !== undefined) {
    const [version, group] = absent;
    const hint = suggestion(
      group,
      groups.map(({ name }) => name),
    );
    const mend = `correct "versions:" of "routes: ${route.name}:" in .opsrc: ${hint}`;
    return missing(
      subject,
      `the ${route.place.kind} forwards to no target group "${group}" (version ${version})`,
      mend,
    );
  }
  const split = groups.map(({ name, weight }) => `${name} (${weight})`).join(", ");
  return ok(subject, `a ${route.place.kind} of an AWS load balancer splits its traffic between ${split}`);
}
