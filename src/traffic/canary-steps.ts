import { OpsError, UsageError } from "../core/errors.ts";
import { formatPercent, type Percent, percent } from "../core/percent.ts";
import type { WeightScale, Weights } from "../rollout/shares.ts";
import { sharesOf, weightsForShare } from "../rollout/shares.ts";
import { isPause, type Pause, type StepEntry } from "../rollout/step-field.ts";

export interface CanaryStep {
  /** `before`: a pause at what the version has already, where nothing is baked. */
  readonly stage: "before" | "share";
  readonly share: Percent;
  readonly weights: Weights;
  /** After the bake; undefined: the canary goes on by itself. */
  readonly pause: Pause | undefined;
}

/**
 * The steps from what the version has now. A canary never takes traffic away from the new version: steps below its
 * present share are left out, with their pauses. Pure, so that a resumed run has the same steps.
 */
export function canarySteps(
  before: { readonly weights: Weights; readonly scale: WeightScale },
  version: string,
  entries: readonly StepEntry[],
): CanaryStep[] {
  const present = sharesOf(before.weights)[version] ?? 0;
  const steps = entries.flatMap((entry, index): CanaryStep[] => {
    if (isPause(entry)) {
      return index > 0
        ? []
        : [{ stage: "before", share: percent(present), weights: before.weights, pause: entry }];
    }
    if (entry < present - 0.2) return [];
    const next = entries[index + 1];
    const weights = weightsForShare(before.weights, version, entry, before.scale);
    return [{ stage: "share", share: entry, weights, pause: isPause(next) ? next : undefined }];
  });
  if (steps.every(({ stage }) => stage === "before")) {
    throw new UsageError(
      "E_CANARY_STEPS",
      `${version} has ${formatPercent(present)} already, more than every step`,
      {
        hint: `add a higher step, or take traffic back first: ops traffic shift ${version} --share 0%`,
      },
    );
  }
  return steps;
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

export const lastStep = (steps: readonly CanaryStep[]) => stepAt(steps, steps.length - 1);
