import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { Sample } from "../run/sample.ts";
import { formatEvidence, suspicions } from "./comparison-reasons.ts";
import { missingData, silence, unprovenExcess } from "./judge.ts";
import type { StepResult } from "./step-result.ts";
import { type Seen, StepWatch, type Watching } from "./step-watch.ts";

export interface Failed {
  readonly verdict: "abort" | "inconclusive" | "unpromoted";
  readonly reasons: readonly string[];
  readonly result: StepResult;
}

export type BakeVerdict = { readonly verdict: "pass"; readonly result: StepResult } | Failed;

export interface Bake extends Watching {
  /** Called at every look. */
  onLook(result: StepResult, message: string, sample: Sample | undefined): Promise<void>;
}

/** Milliseconds that even a short bake waits for its share and for its missing requests. */
const shortestWait = 10_000;

/**
 * Watches one step, whose weights are set, until there is a verdict. The bake begins when the share has shown in the
 * requests (and the warm-up is over); a step passes after its time with enough requests and nothing suspicious. It is
 * extended where that is missing, then it is inconclusive. Figures that what counts does not have are missing, never good.
 */
export async function bake(setup: Bake): Promise<BakeVerdict> {
  const { context, route, input } = setup;
  const { clock } = context;
  const limits = input["abort-when"];
  const minRequests = input["min-requests"];
  const extension = (input.extend ?? Math.max(input.bake, shortestWait)) * input.extensions;
  const deadline = input.deadline ?? Math.max(input.bake, shortestWait);

  const watch = await StepWatch.begin(setup, input["warm-up"] === 0 ? "warm" : "cold");
  const start = clock.elapsed();
  let bakeStart: number | undefined;
  for (;;) {
    // Until the end of the bake to the millisecond; in an extension, where it is over, look by look.
    const left = bakeStart === undefined ? 0 : bakeStart + input.bake - clock.elapsed();
    const seen = await watch.next(left > 0 ? Math.min(input.interval, left) : input.interval);
    const { look, got, findings, reasons, without } = seen;
    const baked = bakeStart === undefined ? 0 : clock.elapsed() - bakeStart;
    const result = watch.result(seen, baked);
    const phase = watch.isWarm ? "waiting for the share to show" : "warming up";
    const time = `${formatDuration(result.bakedMs)} of ${formatDuration(input.bake)}`;
    const message = progressMessage(result, bakeStart === undefined ? phase : time, without);
    await setup.onLook(result, message, seen.sample);

    if (reasons.length > 0) return { verdict: "abort", reasons, result };
    if (bakeStart === undefined) {
      const waited = clock.elapsed() - start;
      const shows = got.verdict === "agrees" && without === undefined;
      if (shows && !watch.isWarm && waited >= input["warm-up"]) watch.warmedUp();
      if (shows && watch.isWarm) {
        bakeStart = clock.elapsed();
        watch.shareHasShown();
      } else if (waited < deadline + input["warm-up"]) continue;
      else if (without !== undefined) return { verdict: "inconclusive", reasons: [without], result };
      else if (got.verdict === "disagrees") {
        return { verdict: "abort", reasons: [shareReason(seen)], result };
      } else if (got.verdict === "unknown") {
        const missing = missingData(look, limits, minRequests) ?? unseen(seen, waited);
        return { verdict: "inconclusive", reasons: [missing], result };
      }
      continue;
    }
    if (baked < input.bake) continue;
    const missing =
      without ??
      missingData(look, limits, minRequests) ??
      silence(look, route.requests) ??
      unprovenExcess(look, limits) ??
      suspicions(look, findings)[0];
    if (missing === undefined) {
      if (got.verdict === "disagrees") return { verdict: "abort", reasons: [shareReason(seen)], result };
      return { verdict: "pass", result };
    }
    if (baked >= input.bake + extension) return { verdict: "inconclusive", reasons: [missing], result };
  }
}

/**
 * @param time how long what is going on has taken, and takes
 * @param without why there are no new figures
 */
export function progressMessage(result: StepResult, time: string, without: string | undefined): string {
  const parts = [
    formatPercent(result.share),
    `${result.requests} requests`,
    `${result.errorRate.toFixed(1)}% bad`,
    ...(result.p95 === null ? [] : [`p95 ${result.p95} ms`]),
    ...result.comparison
      .filter(({ evidence }) => evidence >= 2)
      .map(({ of, evidence, threshold }) => `${of}: e-value ${formatEvidence(evidence)} of ${threshold}`),
    time,
    ...(without === undefined ? [] : [without]),
  ];
  return parts.join(" · ");
}

function shareReason({ look, got }: Seen): string {
  return `${look.version} got ${formatPercent(100 * (got.share ?? 0))} of ${got.requests} requests instead of ${formatPercent(look.share)}`;
}

function unseen({ look, got: { requests, share } }: Seen, waited: number): string {
  const seen =
    share === undefined
      ? `only ${requests} requests of the route were seen`
      : `${look.version} got ${Math.round(share * requests)} of ${requests} requests`;
  return `${seen} in ${formatDuration(waited)}, too few to confirm the share`;
}
