import { z } from "zod";
import type { Json } from "../core/errors.ts";
import { type FlagDefinition, sameJson } from "../flag-source/definition.ts";
import { type ComparisonState, comparisonState } from "../rollout/comparison.ts";
import { promotion } from "../rollout/promotion.ts";
import { stepResult } from "../rollout/step-result.ts";
import type { Sample } from "../run/sample.ts";
import type { RampStep } from "./ramp-steps.ts";

export const rampStepResult = z.object({
  share: z.number().describe("Percent of the users who are on no list"),
  bakedMs: z.number(),
  figures: stepResult
    .pick({ requests: true, errors: true, errorRate: true, p95: true, comparison: true })
    .nullable()
    .describe("Of the variant's requests; null where only time and the gate judged"),
  gate: z
    .object({
      gate: z.string(),
      verdict: z.enum(["go", "no-go"]),
      checks: z.array(
        z.object({ id: z.string(), status: z.enum(["pass", "warn", "fail", "unknown"]), reason: z.string() }),
      ),
    })
    .nullable()
    .describe("After the bake; null without a gate"),
});
export type RampStepResult = z.output<typeof rampStepResult>;

const checkpoint = z.object({
  /** `baking`, `paused`: in step `step`; `passed`: all steps are; `aborted`: it was taken back. */
  phase: z.enum(["baking", "paused", "passed", "aborted"]),
  /** Index of the step; all before it have passed. */
  step: z.int().min(0),
  passed: z.array(rampStepResult),
  promotions: z.array(promotion),
  /** Null where nothing is compared. */
  comparison: comparisonState.nullable(),
});

export type RampCheckpoint = z.output<typeof checkpoint> & {
  /** Since the checkpoint before. */
  samples: Sample[];
};

export interface RampPlace extends Omit<z.output<typeof checkpoint>, "phase" | "comparison"> {
  /** What of the step is to be done yet: what comes before it has passed. */
  readonly phase: "baking" | "paused";
  /** What was learned and compared so far; undefined: it begins anew. */
  readonly comparison: ComparisonState | undefined;
}

const beginning: RampPlace = { step: 0, phase: "baking", passed: [], promotions: [], comparison: undefined };

/**
 * Where an unfinished ramp goes on. An interrupted bake begins again from zero, a pause with its whole time. Where the
 * flag is again what it was before, it was taken back (an abort, the watchdog of a process that was killed): it begins anew.
 */
export function placeToResume(
  last: Json | undefined,
  before: FlagDefinition,
  steps: readonly RampStep[],
  present: FlagDefinition,
): RampPlace {
  const parsed = checkpoint.safeParse(last);
  if (!parsed.success || parsed.data.phase === "aborted") return beginning;
  const { step, phase, passed, promotions, comparison } = parsed.data;
  const intended = steps[Math.min(step, steps.length - 1)]?.definition ?? before;
  if (sameJson(present, before) && !sameJson(intended, before)) return beginning;
  return {
    step,
    phase: phase === "paused" ? "paused" : "baking",
    passed,
    promotions,
    comparison: comparison ?? undefined,
  };
}
