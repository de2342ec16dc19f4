import { formatDuration } from "../core/duration.ts";
import type { Bake, Failed } from "../rollout/bake.ts";
import { readingOf, type VersionState } from "../rollout/reading.ts";
import type { Weights } from "../rollout/shares.ts";
import { StepWatch } from "../rollout/step-watch.ts";
import type { TrafficDriver } from "./traffic-driver.ts";

/** Version → requests that are at it, or wait for it; null where the balancer does not tell. */
export type InFlight = { [version: string]: number } | null;

export type DrainVerdict = { readonly verdict: "drained"; readonly inFlight: InFlight } | Failed;

/** Milliseconds between two looks. */
const lookEvery = 200;

/**
 * Watches the last step on until the others, which have lost their traffic, are idle: nothing is at them, and nothing has come since the look
 * before (a cookie can bring requests in spite of the weights). After `limit` milliseconds it ends with what is still there.
 */
export async function drain(setup: Bake, others: readonly string[], limit: number): Promise<DrainVerdict> {
  const { context } = setup;
  const watch = await StepWatch.begin(setup);
  const start = context.clock.elapsed();
  let before: number | undefined;
  for (;;) {
    const seen = await watch.next(lookEvery);
    const waited = context.clock.elapsed() - start;
    const result = watch.result(seen, waited);
    if (seen.reasons.length > 0) return { verdict: "abort", reasons: seen.reasons, result };
    const inFlight = inFlightAt(seen.reading, others);
    if (inFlight === null) return { verdict: "drained", inFlight };
    const left = Object.values(inFlight).reduce((total, each) => total + each, 0);
    const sent = others.reduce((total, each) => total + readingOf(seen.reading, each).counters.requests, 0);
    const isIdle = left === 0 && sent === before;
    if (isIdle || waited >= limit) return { verdict: "drained", inFlight };
    before = sent;
    if (left > 0) await setup.onLook(result, drainingLine(inFlight, waited, limit), seen.sample);
  }
}

/** `3 requests at blue, 1 request at amber`; undefined where none are. */
export function formatInFlight(inFlight: InFlight): string | undefined {
  const parts = Object.entries(inFlight ?? {})
    .filter(([, count]) => count > 0)
    .map(([version, count]) => `${count} ${count === 1 ? "request" : "requests"} at ${version}`);
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** Milliseconds for the look at what a version still works on; it is told, and nothing depends on it. */
const countLimit = 2000;

/** What is at a version that has just lost its traffic; null also where the balancer does not answer any more. */
export async function stillAt(driver: TrafficDriver, version: string): Promise<InFlight> {
  try {
    return inFlightAt(await driver.states(AbortSignal.timeout(countLimit)), [version]);
  } catch {
    return null;
  }
}

/** The versions that have lost all they had. */
export function released(before: Weights, after: Weights): string[] {
  return Object.keys(before).filter((each) => (before[each] ?? 0) > 0 && (after[each] ?? 0) === 0);
}

function inFlightAt(states: readonly VersionState[], versions: readonly string[]): InFlight {
  const counts = versions.map((version) => {
    const state = states.find((each) => each.version === version);
    return [version, state?.inFlight] as const;
  });
  const known = counts.flatMap(([version, count]) =>
    count === undefined ? [] : [[version, count] as const],
  );
  return known.length < counts.length ? null : Object.fromEntries(known);
}

function drainingLine(inFlight: InFlight, waited: number, limit: number): string {
  return `waiting for ${formatInFlight(inFlight)}: ${formatDuration(waited)} of ${formatDuration(limit)}`;
}
