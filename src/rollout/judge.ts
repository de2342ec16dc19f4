import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { exceeds } from "../core/threshold.ts";
import { badRequests, settledRequests } from "../request-source/counters.ts";
import type { Counters, RequestSource } from "../request-source/request-source.ts";
import type { ResponseTimes } from "../request-source/response-times.ts";
import { isAboveBeyondDoubt, observeShare, type ShareObservation } from "./confidence.ts";
import type { CanaryLimits } from "./limits.ts";
import type { Health } from "./reading.ts";

/** What happened at the new version in a stretch of time. */
export interface Stretch {
  readonly counts: Counters;
  /** Undefined where request times are not followed. */
  readonly times: ResponseTimes | undefined;
}

/** Everything that a look at a step knows. */
export interface Look {
  readonly version: string;
  /** Percent that the weights give the version. */
  readonly share: number;
  readonly sinceStart: Stretch;
  /** The newest part of the step, so that a late fault is not diluted by a long good time. */
  readonly recent: Stretch;
  /** Requests of all versions since the step began. */
  readonly routeRequests: number;
  readonly health: Health;
  readonly status: string;
  readonly meanResponse: number | undefined;
  /** By which part the versions may have been watched for different times, 0–1. */
  readonly unequal: number;
  /** Milliseconds since the step's figures began, and since the newest request of the version among them. */
  readonly watched: number;
  readonly silent: number;
  /** Requests that were sent to the version since one of it last came to an end. */
  readonly unanswered: number;
}

/** Why the canary must end now, one clause with the numbers each; empty: go on. */
export function reasonsToAbort(look: Look, limits: CanaryLimits, minRequests: number): string[] {
  const at = `at ${formatPercent(look.share)}`;
  const { version } = look;
  const reasons: string[] = [];
  if (look.health === "down") reasons.push(`${version} is ${look.status} ${at}`);
  const failures = look.sinceStart.counts.failedChecks;
  const failing = limits["health-failures"];
  if (look.health !== "down" && failing !== undefined && exceeds(failures, failing)) {
    reasons.push(`${version} failed ${failures} health checks (limit ${failing.text}) ${at}`);
  }
  const errors = errorReason(look.sinceStart, limits, minRequests) ?? recentErrorReason(look.recent, limits);
  if (errors !== undefined) reasons.push(`${version} ${errors} ${at}`);
  const slow = slowReason(look, limits, minRequests);
  if (slow !== undefined) reasons.push(`${version} ${slow} ${at}`);
  const mean = limits["mean-response"];
  if (
    mean !== undefined &&
    look.meanResponse !== undefined &&
    look.sinceStart.counts.answered >= minRequests &&
    exceeds(look.meanResponse, mean)
  ) {
    reasons.push(`${version} answers in ${look.meanResponse} ms on average (limit ${mean.text}) ${at}`);
  }
  return reasons;
}

/** Before there are enough requests, only what the missing ones could not mend counts against the version. */
function errorReason({ counts }: Stretch, limits: CanaryLimits, minRequests: number): string | undefined {
  const limit = limits["error-rate"];
  const bad = badRequests(counts);
  const settled = settledRequests(counts);
  if (bad === 0 || !exceeds((100 * bad) / Math.max(settled, minRequests), limit)) return undefined;
  return `answered ${bad} of ${settled} requests badly (${rate(bad, settled)}, limit ${limit.text})`;
}

function recentErrorReason({ counts }: Stretch, limits: CanaryLimits): string | undefined {
  const limit = limits["error-rate"];
  const bad = badRequests(counts);
  const settled = settledRequests(counts);
  if (!isAboveBeyondDoubt(bad, settled, limit.value / 100)) return undefined;
  return `answered ${bad} of the last ${settled} requests badly (${rate(bad, settled)}, limit ${limit.text})`;
}

function slowReason(look: Look, limits: CanaryLimits, minRequests: number): string | undefined {
  const limit = limits.p95;
  const whole = look.sinceStart.times;
  if (limit === undefined || whole === undefined || whole.total < minRequests) return undefined;
  const p95 = whole.percentile(95);
  if (p95 !== undefined && exceeds(p95, limit)) {
    return `has a p95 of ${formatDuration(p95)} over ${whole.total} requests (limit ${limit.text})`;
  }
  const recent = look.recent.times;
  if (recent === undefined) return undefined;
  const slow = recent.count((time) => exceeds(time, limit));
  if (!isAboveBeyondDoubt(slow, recent.total, 0.05)) return undefined;
  return `took longer than the p95 limit (${limit.text}) for ${slow} of the last ${recent.total} requests`;
}

/** @param splits what the weights decide; `some-users`: the version is only waited for */
export function observedShare(look: Look, splits?: "requests" | "users" | "some-users"): ShareObservation {
  const { sinceStart, routeRequests, share, unequal } = look;
  if (splits === "some-users") {
    const { requests } = sinceStart.counts;
    if (requests === 0) return { verdict: "unknown", requests: routeRequests };
    return { verdict: "agrees", requests: routeRequests, share: requests / routeRequests };
  }
  return observeShare(sinceStart.counts.requests, routeRequests, share / 100, unequal, splits);
}

/** What a step still lacks for a verdict; undefined: enough was seen. */
export function missingData(look: Look, limits: CanaryLimits, minRequests: number): string | undefined {
  const settled = settledRequests(look.sinceStart.counts);
  if (settled < minRequests) {
    return `only ${settled} requests of ${look.version} came to an end (needs ${minRequests})`;
  }
  const times = look.sinceStart.times;
  if (limits.p95 !== undefined && times !== undefined && times.total < minRequests) {
    return `only ${times.total} request times of ${look.version} were seen (needs ${minRequests})`;
  }
  if (look.unanswered >= hanging) {
    return `the last ${look.unanswered} requests of ${look.version} have no answer yet`;
  }
  return undefined;
}

/** So many requests in a row without one answer are a version that hangs, whatever it did before. */
const hanging = 5;

/** Requests that must have been expected before their absence says something: by chance none come once in 500 million times. */
const tellingSilence = 20;

/**
 * Why figures that stopped coming are no good ones, for a source that may be away without saying so; undefined: they still come, or
 * there were never enough for a silence to be unusual.
 */
export function silence(
  { version, sinceStart, watched, silent }: Look,
  { apart }: Pick<RequestSource, "apart">,
): string | undefined {
  if (apart === undefined || silent <= apart.maxAge || watched <= silent) return undefined;
  const expected = (sinceStart.counts.requests / (watched - silent)) * silent;
  if (expected < tellingSilence) return undefined;
  return `no request of ${version} was seen for ${formatDuration(silent)}, in which ${Math.round(expected)} were to be expected`;
}

function rate(bad: number, settled: number): string {
  return `${((100 * bad) / settled).toFixed(1)}%`;
}
