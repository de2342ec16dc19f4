import { OpsError, UsageError } from "../core/errors.ts";
import { formatPercent, type Percent } from "../core/percent.ts";
import { sharesOf, weightsForShare } from "./shares.ts";
import type { WeightScale, Weights } from "./traffic-driver.ts";

export interface CanaryStep {
  readonly share: Percent;
  readonly weights: Weights;
}

/**
 * The steps from what the version has now. A canary never takes traffic away from the new version: steps below its
 * present share are left out. Pure, so that a resumed run has the same steps.
 */
export function canarySteps(
  before: { readonly weights: Weights; readonly scale: WeightScale },
  version: string,
  shares: readonly Percent[],
): CanaryStep[] {
  const present = sharesOf(before.weights)[version] ?? 0;
  const ahead = shares.filter((share) => share >= present - 0.2);
  if (ahead.length === 0) {
    throw new UsageError(
      "E_CANARY_STEPS",
      `${version} has ${formatPercent(present)} already, more than every step`,
      {
        hint: `add a higher step, or take traffic back first: ops traffic shift ${version} --share 0%`,
      },
    );
  }
  return ahead.map((share) => ({
    share,
    weights: weightsForShare(before.weights, version, share, before.scale),
  }));
}

export function stepAt(steps: readonly CanaryStep[], index: number): CanaryStep {
  const step = steps[index];
  if (step === undefined) {
    throw new OpsError(
      "E_CANARY_CHECKPOINT",
      `The journal names step ${index + 1} of a canary with ${steps.length}`,
      {
        hint: "the runbook was changed during the run; take it back with: ops runs rollback",
        retryable: false,
      },
    );
  }
  return step;
}
