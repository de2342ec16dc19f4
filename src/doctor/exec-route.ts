import type { ExecRouteTarget } from "../config/environment.ts";
import { getWeights, requireScript } from "../traffic-script/traffic-script.ts";
import { type Finding, missingBecause, ok } from "./finding.ts";

/** Whether both programs are there, and the one that reads tells a weight for each version. */
export async function execFinding(target: ExecRouteTarget, signal: AbortSignal): Promise<Finding> {
  const subject = `route ${target.name}`;
  const script = { ...target, route: target.name };
  try {
    await requireScript(script);
    const { weights } = await getWeights(script, signal);
    const shown = Object.entries(weights).map(([version, weight]) => `${version} ${weight}`);
    return ok(subject, `${target.get[0]} tells the weights ${shown.join(", ")}`);
  } catch (error) {
    return missingBecause(subject, error, `mend the program, or correct "routes: ${target.name}:" in .opsrc`);
  }
}
