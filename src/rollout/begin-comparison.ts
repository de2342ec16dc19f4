import type { z } from "zod";
import type { Duration } from "../core/duration.ts";
import { RequestTimesFollower } from "../request-source/request-times.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { Comparison, type ComparisonState } from "./comparison.ts";
import { learn, learnedLine } from "./learn.ts";
import type { CanaryLimits, compareWith } from "./limits.ts";
import type { Watched } from "./watched.ts";

interface ComparedInput {
  readonly to: string;
  /** Milliseconds */
  readonly bake: Duration;
  readonly "abort-when": CanaryLimits;
  readonly compare: z.output<typeof compareWith>;
}

/** Undefined where nothing tells request times; a p95 limit was refused then. */
export function followTimes(
  { clock }: OperationContext,
  { requests: { times } }: Watched,
  { "abort-when": limits, compare }: ComparedInput,
): RequestTimesFollower | undefined {
  const wanted = limits.p95 !== undefined || compare.alpha > 0;
  return wanted && times !== undefined ? new RequestTimesFollower(times, clock) : undefined;
}

/** Milliseconds that is watched before the first step, at most, where the input does not say. */
const longestLearning = 120_000;

export interface ComparisonSetup {
  readonly watched: Watched;
  /** `route web` */
  readonly what: string;
  readonly input: ComparedInput;
  readonly report: Report;
  readonly times: RequestTimesFollower | undefined;
  /** Of an earlier attempt, which has learned already. */
  readonly state: ComparisonState | undefined;
  /** Throws where it must end. */
  onLook(): Promise<void>;
  /** What is to be tidied where it ends before anything was changed. */
  onFailure(): Promise<void>;
}

/** Learns how what is there behaves by itself, and begins to compare. Undefined where the input wants no comparison. */
export async function beginComparison(
  context: OperationContext,
  { watched, what, input, report, times, state, onLook, onFailure }: ComparisonSetup,
): Promise<Comparison | undefined> {
  const { alpha, tolerate, learn: given, "slower-by": slowerBy } = input.compare;
  if (alpha === 0) return undefined;
  const settings = { alpha: alpha / 100, tolerate };
  if (state !== undefined) return new Comparison(input.to, settings, state.learned, state);
  const duration = given ?? Math.min(input.bake, longestLearning);
  const learned = await learn(context, watched, times, { duration, slowerBy }, report, onLook).catch(
    async (error: unknown) => {
      await onFailure();
      throw error;
    },
  );
  report.log(learnedLine(what, learned));
  return new Comparison(input.to, settings, learned);
}
