import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { patiently } from "../rollout/look.ts";
import type { Promotion } from "../rollout/promotion.ts";
import type { PromotionRequest } from "../rollout/requests.ts";
import type { Pause } from "../rollout/step-field.ts";
import type { OperationContext } from "../run/context.ts";
import type { Progress } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import type { RampFlag } from "./ramp-flag.ts";
import type { RampStep } from "./ramp-steps.ts";

/** A step over which nothing but time, and people, decide. */
export interface TimedStep {
  readonly context: OperationContext;
  readonly flag: RampFlag;
  readonly step: RampStep;
  /** Milliseconds between two looks at the flag. */
  readonly interval: number;
  /** Throws where somebody has aborted the ramp. */
  refuseAborted(): Promise<void>;
  onLook(waited: number, progress: Pick<Progress, "message">): void;
}

/** Throws what ends the ramp from outside: an abort, a change by somebody else, a source that is away. */
async function look({ context, flag, step, refuseAborted }: TimedStep, wait: number): Promise<void> {
  await pause(context, wait);
  await refuseAborted();
  await patiently(context, () => flag.require(step.definition));
}

/** Lets the time of a bake pass. Answers with how long it was, in milliseconds. */
export async function bakeByTime(setup: TimedStep, bake: number): Promise<number> {
  const { clock } = setup.context;
  const start = clock.elapsed();
  for (;;) {
    const waited = clock.elapsed() - start;
    const time = `${formatDuration(Math.min(waited, bake))} of ${formatDuration(bake)}`;
    setup.onLook(waited, { message: `${formatPercent(setup.step.share)} of the users · ${time}` });
    if (waited >= bake) return Math.round(waited);
    await look(setup, Math.min(setup.interval, Math.max(1, bake - waited)));
  }
}

/** Milliseconds between two looks in a pause, at most: somebody waits for an answer. */
const longestInterval = 1000;

/** Waits until somebody promotes it; undefined: nobody has within the time of the pause. */
export async function pauseByTime(
  setup: TimedStep,
  { pause: limit }: Pause,
  promote: string,
  promotion: () => Promise<PromotionRequest | undefined>,
): Promise<Promotion | undefined> {
  const { clock } = setup.context;
  const start = clock.elapsed();
  const share = setup.step.share;
  for (;;) {
    const waited = Math.round(clock.elapsed() - start);
    const of = limit === null ? "" : ` of ${formatDuration(limit)}`;
    setup.onLook(waited, {
      message: `${formatPercent(share)} of the users · paused for ${formatDuration(waited)}${of}: ${promote}`,
    });
    const request = await promotion();
    if (request !== undefined) {
      const { by, reason, at } = request;
      return { share, by, reason, at, waitedMs: waited };
    }
    if (limit !== null && waited >= limit) return undefined;
    const left = limit === null ? longestInterval : Math.max(1, limit - waited);
    await look(setup, Math.min(setup.interval, longestInterval, left));
  }
}
