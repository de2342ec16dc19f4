import type { ExecRouteTarget } from "../../config/environment.ts";
import { OpsError } from "../../core/errors.ts";
import type { VersionState } from "../../rollout/reading.ts";
import { sameWeights, type Weights } from "../../rollout/shares.ts";
import {
  setWeights as callSet,
  getWeights,
  type TrafficScript,
} from "../../traffic-script/traffic-script.ts";
import { refuseOthers } from "../drift.ts";
import type { TrafficDriver } from "../traffic-driver.ts";

/** A script of the team's own. What it was told is read back: its word alone is not taken for it. */
export function execDriver(route: ExecRouteTarget): TrafficDriver {
  const script: TrafficScript = { ...route, route: route.name };
  const versions = Object.keys(route.versions);

  async function states(signal?: AbortSignal): Promise<VersionState[]> {
    const { weights, health } = await getWeights(script, signal);
    return versions.map((version) => ({
      version,
      server: route.versions[version] ?? version,
      weight: weights[version] ?? 0,
      health: health[version] ?? "unknown",
      status: health[version] ?? "-",
    }));
  }

  async function weights(signal?: AbortSignal): Promise<Weights> {
    const found = await states(signal);
    return Object.fromEntries(found.map(({ version, weight }) => [version, weight]));
  }

  async function setWeights(wanted: Weights, signal?: AbortSignal, expected?: Weights): Promise<void> {
    const present = await weights(signal);
    // Who waits for a canary to end sets the same again and again.
    if (sameWeights(present, wanted)) return;
    refuseOthers(route.name, present, expected);
    await callSet(script, wanted, signal);
    const after = await weights(signal);
    if (sameWeights(after, wanted)) return;
    const wrong = versions.filter((version) => after[version] !== (wanted[version] ?? 0));
    const text = wrong.map(
      (version) => `${version} has ${after[version]} instead of ${wanted[version] ?? 0}`,
    );
    throw new OpsError(
      "E_WEIGHT_NOT_SET",
      `The script of route ${route.name} said it set the weights, and tells others: ${text.join(", ")}`,
      { hint: "see who else changes them: ops traffic status", details: { wanted, after } },
    );
  }

  // Three calls: a look, the set, and a look at what became of it.
  return { scale: route.scale, patience: 3 * route.timeout, states, weights, setWeights };
}
