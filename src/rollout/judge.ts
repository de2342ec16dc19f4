import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { exceeds, type Threshold } from "../core/threshold.ts";
import type { Outcomes } from "../judge/e-process.ts";
import { badRequests, settledRequests } from "../request-source/counters.ts";
import type { Counters, RequestSource } from "../request-source/request-source.ts";
import type { ResponseTimes } from "../request-source/response-times.ts";
import { type Learned, unlearned } from "./comparison.ts";
import { observeShare, type ShareObservation } from "./confidence.ts";
import { provenExcess } from "./excess.ts";
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
  /** Health checks of the version that have failed since one was last seen to be good. */
  readonly failedInRow: number;
}

/**
 * Why the canary must end now, one clause with the numbers each; empty: go on.
 *
 * @param learned whether errors and slow requests come in bursts
 */
export function reasonsToAbort(
  look: Look,
  limits: CanaryLimits,
  minRequests: number,
  learned: Learned = unlearned,
): string[] {
  const at = `at ${formatPercent(look.share)}`;
  const { version } = look;
  const reasons: string[] = [];
  if (look.health === "down") reasons.push(`${version} is ${look.status} ${at}`);
  const failures = look.failedInRow;
  const failing = limits["health-failures"];
  if (look.health !== "down" && failing !== undefined && exceeds(failures, failing)) {
    reasons.push(`${version} failed ${failures} health checks in a row (limit ${failing.text}) ${at}`);
  }
  const errors = errorReason(look, limits, minRequests, learned);
  if (errors !== undefined) reasons.push(`${version} ${errors} ${at}`);
  const slow = slowReason(look, limits, minRequests, learned);
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

/** Undefined: the error rate is not over its limit beyond doubt, neither in the step nor in its newest part. */
function errorReason(
  { sinceStart, recent }: Look,
  { "error-rate": limit }: CanaryLimits,
  minRequests: number,
  { dispersion }: Learned,
): string | undefined {
  const [whole, newest] = [outcomesOf(sinceStart), outcomesOf(recent)];
  switch (provenExcess(whole, newest, limit.value / 100, minRequests, dispersion)) {
    case "step":
      return answeredBadly(whole, `${whole.requests}`, limit);
    case "recent":
      return answeredBadly(newest, `the last ${newest.requests}`, limit);
    default:
      return undefined;
  }
}

function slowReason(
  { sinceStart, recent }: Look,
  { p95: limit }: CanaryLimits,
  minRequests: number,
  { slow }: Learned,
): string | undefined {
  if (limit === undefined || sinceStart.times === undefined || sinceStart.times.total < minRequests)
    return undefined;
  const [whole, newest] = [slowOf(sinceStart, limit), slowOf(recent, limit)];
  switch (provenExcess(whole, newest, slowShare, minRequests, slow?.dispersion ?? 1)) {
    case "step":
      return longP95(sinceStart.times, limit);
    case "recent":
      return `took longer than the p95 limit (${limit.text}) for ${newest.bad} of the last ${newest.requests} requests`;
    default:
      return undefined;
  }
}

/** The part of the requests that may take longer than a p95. */
const slowShare = 0.05;

/**
 * What is over its limit in the whole step, though perhaps by chance: too little to abort, too much to pass. Undefined: nothing.
 */
export function unprovenExcess({ version, sinceStart }: Look, limits: CanaryLimits): string | undefined {
  const whole = outcomesOf(sinceStart);
  const rate = limits["error-rate"];
  if (whole.bad > 0 && exceeds((100 * whole.bad) / whole.requests, rate)) {
    return `${version} ${answeredBadly(whole, `${whole.requests}`, rate)}, which may be chance`;
  }
  const p95 = sinceStart.times?.percentile(95);
  if (
    limits.p95 !== undefined &&
    sinceStart.times !== undefined &&
    p95 !== undefined &&
    exceeds(p95, limits.p95)
  ) {
    return `${version} ${longP95(sinceStart.times, limits.p95)}, which may be chance`;
  }
  return undefined;
}

const outcomesOf = ({ counts }: Stretch): Outcomes => ({
  requests: settledRequests(counts),
  bad: badRequests(counts),
});

const slowOf = ({ times }: Stretch, limit: Threshold): Outcomes => ({
  requests: times?.total ?? 0,
  bad: times?.count((time) => exceeds(time, limit)) ?? 0,
});

function answeredBadly({ requests, bad }: Outcomes, ofHowMany: string, limit: Threshold): string {
  const rate = ((100 * bad) / requests).toFixed(1);
  return `answered ${bad} of ${ofHowMany} requests badly (${rate}%, limit ${limit.text})`;
}

function longP95(times: ResponseTimes, limit: Threshold): string {
  return `has a p95 of ${formatDuration(times.percentile(95) ?? 0)} over ${times.total} requests (limit ${limit.text})`;
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
