import { z } from "zod";
import type { Json } from "../core/errors.ts";
import type { Sample } from "../run/sample.ts";
import { type Promotion, promotion } from "./canary-pause.ts";
import type { CanaryStep } from "./canary-steps.ts";
import { type ComparisonState, comparisonState, finding } from "./comparison.ts";
import { sameWeights } from "./drift.ts";
import type { Weights } from "./traffic-driver.ts";

export const stepResult = z.object({
  share: z.number().describe("Percent of the traffic that the weights gave the new version"),
  observedShare: z.number().nullable().describe("Percent that it got"),
  requests: z.number().describe("Of the new version, that came to an end"),
  errors: z.number().describe("Of them: 5xx, connection and response errors, retries and redispatches"),
  errorRate: z.number().describe("Percent"),
  serverErrors: z.number(),
  connectionErrors: z.number(),
  responseErrors: z.number(),
  retries: z.number(),
  redispatches: z.number(),
  p95: z.number().nullable().describe("Milliseconds; null where no p95 limit is set"),
  meanResponse: z.number().nullable().describe("Milliseconds, the balancer's own slow mean"),
  healthFailures: z.number(),
  bakedMs: z.number(),
  restarts: z.number().describe("Times the balancer was restarted or reloaded during the step"),
  comparison: z
    .array(finding)
    .describe(
      "The new version against those serving beside it, over the whole canary; empty where nothing is compared",
    ),
});

export type StepResult = z.output<typeof stepResult>;

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
