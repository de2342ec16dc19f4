import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { type Bake, type Failed, progressMessage } from "./bake.ts";
import { suspicions } from "./comparison-reasons.ts";
import { silence, unprovenExcess } from "./judge.ts";
import type { PromotionRequest } from "./requests.ts";
import type { Pause } from "./step-field.ts";
import { StepWatch } from "./step-watch.ts";

export const promotion = z.object({
  share: z.number().describe("Percent of the traffic that the canary had in the pause"),
  by: z.string().describe("Who; where nobody did and unpromoted is promote: the time of the pause"),
  reason: z.string().nullable(),
  at: z.iso.datetime(),
  waitedMs: z.number(),
});
export type Promotion = z.output<typeof promotion>;

export type PauseVerdict = { readonly verdict: "promoted"; readonly promotion: Promotion } | Failed;

export interface PausedStep extends Bake {
  readonly pause: Pause;
  /** Whoever has promoted it; undefined: nobody yet. */
  promotion(): Promise<PromotionRequest | undefined>;
}

/** Milliseconds between two looks, at most: somebody waits for an answer. */
const longestInterval = 1000;

/** Goes on watching and judging a step that has passed, until somebody promotes it. */
export async function awaitPromotion(setup: PausedStep): Promise<PauseVerdict> {
  const { context, input, step } = setup;
  const { clock } = context;
  const limit = setup.pause.pause ?? Number.POSITIVE_INFINITY;
  const watch = await StepWatch.begin(setup);
  const start = clock.elapsed();
  for (;;) {
    const left = Math.max(1, limit - (clock.elapsed() - start));
    const seen = await watch.next(Math.min(input.interval, longestInterval, left));
    const waited = clock.elapsed() - start;
    const result = watch.result(seen, waited);
    await setup.onLook(
      result,
      progressMessage(result, waitingLine(setup, waited), seen.without),
      seen.sample,
    );
    if (seen.reasons.length > 0) return { verdict: "abort", reasons: seen.reasons, result };
    const passed = { share: step.share, waitedMs: Math.round(waited) };
    const request = await setup.promotion();
    if (request !== undefined) {
      const { by, reason, at } = request;
      return { verdict: "promoted", promotion: { by, reason, at, ...passed } };
    }
    if (waited < limit) continue;
    if (input.unpromoted === "promote") {
      // Time alone promotes nothing that nobody sees, and nothing that would not pass a bake.
      const missing =
        seen.without ??
        silence(seen.look, setup.route.requests) ??
        unprovenExcess(seen.look, input["abort-when"]) ??
        suspicions(seen.look, seen.findings)[0];
      if (missing !== undefined) return { verdict: "inconclusive", reasons: [missing], result };
      const at = clock.now().toISOString();
      return { verdict: "promoted", promotion: { by: "the time of the pause", reason: null, at, ...passed } };
    }
    const reason = `nobody promoted ${input.to} at ${formatPercent(step.share)} in ${formatDuration(limit)}`;
    return { verdict: "unpromoted", reasons: [reason], result };
  }
}

function waitingLine({ route, pause }: PausedStep, waited: number): string {
  const limit = pause.pause === null ? "" : ` of ${formatDuration(pause.pause)}`;
  return `paused for ${formatDuration(waited)}${limit}: ${route.promote}`;
}
