import { OpsError } from "../core/errors.ts";
import type { Weights } from "../rollout/shares.ts";
import { formatShares, sameWeights } from "../rollout/shares.ts";

/**
 * Throws where the weights come from somebody else: each weight must be one that this operation saw or sets. A
 * mixture is our own too: a crash can fall between the changes of two weights.
 */
export function refuseDrift(route: string, present: Weights, own: readonly Weights[]): void {
  const ours = Object.entries(present).every(([version, weight]) =>
    own.some((weights) => (weights[version] ?? 0) === weight),
  );
  if (!ours) throw driftError(route, present, own);
}

/** Throws where the weights are others than those that the caller saw; undefined: whatever they are. */
export function refuseOthers(route: string, present: Weights, expected: Weights | undefined): void {
  if (expected !== undefined && !sameWeights(present, expected)) throw driftError(route, present, [expected]);
}

export function driftError(route: string, present: Weights, own: readonly Weights[]): OpsError {
  return new OpsError(
    "E_TRAFFIC_DRIFT",
    `Somebody else changed the weights of route ${route}: they are ${formatShares(present)} now`,
    {
      hint: "find out who did (the balancer reloaded without its state?), then see: ops traffic status",
      details: { present, expected: [...own] },
      retryable: false,
    },
  );
}
