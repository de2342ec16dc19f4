import { OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { CountingWindow } from "../request-source/counters.ts";
import { observeShare, type ShareObservation } from "../rollout/confidence.ts";
import { countedWithin, sight } from "../rollout/look.ts";
import { sharesOf, type Weights } from "../rollout/shares.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { counted, isCounted, type Route } from "./route.ts";

/**
 * Watches whether weights that were set show in the requests, for `patience` milliseconds at most; says so in the log where nothing
 * tells. Throws `E_SHARE_NOT_OBSERVED` where the requests go elsewhere.
 */
export async function confirmShare(
  context: OperationContext,
  route: Route,
  version: string,
  weights: Weights,
  patience: number,
  report: Report,
): Promise<ShareObservation> {
  const seen = await watchShare(context, route, version, weights, patience);
  if (seen.verdict === "disagrees") throw notObserved(route.target.name, version, weights, seen);
  if (seen.verdict === "unknown") {
    report.log(`could not confirm the share within the time to watch: ${requestsSeen(version, seen)}`);
  }
  return seen;
}

/** What does not confirm a share; share: 0–1. */
export function requestsSeen(
  version: string,
  { requests, share }: { readonly requests: number; readonly share?: number },
): string {
  if (share === undefined) return `only ${requests} requests were seen`;
  return `${version} got ${Math.round(share * requests)} of ${requests} requests, too few to tell`;
}

/** How often the counters are read while waiting for a share to show. */
const lookEvery = 200;
/** Enough requests to stop watching before the time is over. */
const plenty = 200;

async function watchShare(
  context: OperationContext,
  route: Route,
  version: string,
  wanted: Weights,
  patience: number,
): Promise<ShareObservation> {
  // Some balancers only set weights.
  if (!isCounted(route)) return { verdict: "unknown", requests: 0 };
  await using watched = counted(route);
  const intended = (sharesOf(wanted)[version] ?? 0) / 100;
  const { clock } = context;
  const start = clock.elapsed();
  const end = start + patience;
  let seenLast = await sight(watched, context, undefined);
  let window = new CountingWindow(seenLast.reading);
  let began = watched.requests.apart === undefined ? start : undefined;
  for (;;) {
    const remaining = end - clock.elapsed();
    if (remaining > 0) await clock.sleep(Math.min(lookEvery, remaining), context.signal);
    seenLast = await sight(watched, context, seenLast.reading);
    if (began !== undefined) window.add(seenLast.reading);
    else if (countedWithin(seenLast, clock.elapsed() - start)) {
      began = clock.elapsed();
      window = new CountingWindow(seenLast.reading);
    }
    const grain = Math.max(...seenLast.reading.map(({ age = 0 }) => age));
    const unequal = began === undefined ? 1 : Math.min(1, grain / Math.max(1, clock.elapsed() - began));
    const { requests } = window.counts(version);
    const seen = observeShare(requests, window.requests, intended, unequal, route.driver.splits);
    const enough = seen.verdict === "agrees" && seen.requests >= plenty;
    if (enough || context.clock.elapsed() >= end || context.stop.aborted) return seen;
  }
}

function notObserved(
  route: string,
  version: string,
  weights: Weights,
  seen: { readonly requests: number; readonly share: number },
): OpsError {
  const intended = formatPercent(sharesOf(weights)[version] ?? 0);
  return new OpsError(
    "E_SHARE_NOT_OBSERVED",
    `${version} got ${formatPercent(100 * seen.share)} of ${seen.requests} requests of route ${route} instead of ${intended}`,
    {
      hint: "look for sticky sessions (cookie, stick-table) or a balance algorithm that ignores weights",
      details: { weights, requests: seen.requests, observedShare: 100 * seen.share },
    },
  );
}
