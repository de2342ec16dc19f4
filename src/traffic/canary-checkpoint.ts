import { z } from "zod";
import type { Json } from "../core/errors.ts";
import { type ComparisonState, comparisonState } from "../rollout/comparison.ts";
import { type Promotion, promotion } from "../rollout/promotion.ts";
import { sameWeights, type Weights } from "../rollout/shares.ts";
import { type StepResult, stepResult } from "../rollout/step-result.ts";
import type { Sample } from "../run/sample.ts";
import type { CanaryStep } from "./canary-steps.ts";

const checkpoint = z.object({
  /** `baking`, `paused`, `draining`: in step `step`; `passed`: all steps are; `aborted`: the traffic was given back. */
  phase: z.enum(["baking", "paused", "draining", "passed", "aborted"]),
  /** Index of the step; all before it have passed. */
  step: z.int().min(0),
  passed: z.array(stepResult),
  promotions: z.array(promotion).default([]),
  /** Null where nothing is compared. */
  comparison: comparisonState.nullable().default(null),
});

export type Checkpoint = z.output<typeof checkpoint> & {
  weights: Weights;
  now: StepResult | null;
  /** Since the checkpoint before. */
  samples: Sample[];
};

export interface Place {
  readonly step: number;
  /** What of the step is to be done yet: what comes before it has passed. */
  readonly phase: "baking" | "paused" | "draining";
  readonly passed: readonly StepResult[];
  readonly promotions: readonly Promotion[];
  /** What was learned and compared so far; undefined: it begins anew. */
  readonly comparison?: ComparisonState | undefined;
}

const beginning: Place = { step: 0, phase: "baking", passed: [], promotions: [] };

/**
 * Where an unfinished canary goes on. An interrupted bake begins again from zero, a pause with its whole time. Where the weights are back at
 * what they were before, the traffic was given back (an abort, or a restart of the balancer): it begins anew.
 */
export function placeToResume(
  last: Json | undefined,
  before: Weights,
  steps: readonly CanaryStep[],
  present: Weights,
): Place {
  const parsed = checkpoint.safeParse(last);
  if (!parsed.success || parsed.data.phase === "aborted") return beginning;
  const { step, phase, passed, promotions, comparison } = parsed.data;
  const intended = steps[Math.min(step, steps.length - 1)]?.weights ?? before;
  if (sameWeights(present, before) && !sameWeights(intended, before)) return beginning;
  return {
    step,
    phase: phase === "paused" || phase === "draining" ? phase : "baking",
    passed,
    promotions,
    comparison: comparison ?? undefined,
  };
}
