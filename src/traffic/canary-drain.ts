import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import type { Bake, Failed } from "../rollout/bake.ts";
import { type Reading, readingOf, type VersionState } from "../rollout/reading.ts";
import type { Weights } from "../rollout/shares.ts";
import { StepWatch } from "../rollout/step-watch.ts";
import type { TrafficDriver } from "./traffic-driver.ts";

/** Version → requests that are at it, or wait for it; null where the balancer does not tell. */
export type InFlight = { [version: string]: number } | null;

/** How the versions were seen that have lost their traffic. */
export const drained = z.enum(["idle", "quiet", "late"]);
export type Drained = z.output<typeof drained>;

export const drainedField = drained
  .nullable()
  .describe(
    "Of the versions that have lost their traffic. idle: no request was at them, and none came any more; quiet: none came any more, and the balancer does not tell what is at them; late: the time to drain was over first; null: none has lost its traffic, or nothing was waited for",
  );

export type DrainVerdict =
  | { readonly verdict: "drained"; readonly drained: Drained; readonly inFlight: InFlight }
  | Failed;

/** Milliseconds between two looks, where the balancer is asked and where another source is, at most. */
const [lookEvery, askEvery] = [200, 1000];

/**
 * Watches the last step on until the others, which have lost their traffic, are idle: nothing is at them, and nothing has come since the look
 * before (a cookie can bring requests in spite of the weights). Where the balancer does not tell what is at them, until no request of
 * them is counted any more. After `limit` milliseconds it ends with what is still there.
 */
export async function drain(setup: Bake, others: readonly string[], limit: number): Promise<DrainVerdict> {
  const { context, input } = setup;
  const watch = await StepWatch.begin(setup);
  const start = context.clock.elapsed();
  const silence = new Silence(others);
  let every = lookEvery;
  for (;;) {
    const seen = await watch.next(Math.max(1, Math.min(every, limit - (context.clock.elapsed() - start))));
    const waited = context.clock.elapsed() - start;
    const result = watch.result(seen, waited);
    if (seen.reasons.length > 0) return { verdict: "abort", reasons: seen.reasons, result };
    const inFlight = inFlightAt(seen.reading, others);
    silence.add(waited, seen.reading);
    if (inFlight === null) every = Math.max(lookEvery, Math.min(input.interval, askEvery));
    const left = Object.values(inFlight ?? {}).reduce((total, each) => total + each, 0);
    if (inFlight !== null && left === 0 && silence.looks > 0) {
      return { verdict: "drained", drained: "idle", inFlight };
    }
    if (inFlight === null && silence.isTelling(waited)) {
      return { verdict: "drained", drained: "quiet", inFlight };
    }
    if (waited >= limit) return { verdict: "drained", drained: "late", inFlight };
    if (inFlight === null || left > 0) {
      await setup.onLook(result, drainingLine(inFlight, others, waited, limit), seen.sample);
    }
  }
}

/** Milliseconds without a request that tell something, and how often there must have been new figures of others meanwhile. */
const [tellingTime, tellingNews] = [1000, 2];

/** How long no request of some versions has been counted. */
class Silence {
  private readonly versions: readonly string[];
  private own: number | undefined;
  private all = 0;
  private since = 0;
  /** New figures since then: what is scraped stays as it is between two scrapes, and what hangs for ever. */
  private news = 0;
  /** Looks since then. */
  looks = 0;

  constructor(versions: readonly string[]) {
    this.versions = versions;
  }

  /** @param at milliseconds */
  add(at: number, reading: Reading): void {
    const sent = (versions: readonly string[]) =>
      versions.reduce((total, each) => total + readingOf(reading, each).counters.requests, 0);
    const [own, all] = [sent(this.versions), sent(reading.map(({ version }) => version))];
    if (own === this.own) {
      this.looks += 1;
      if (all !== this.all) this.news += 1;
    } else [this.since, this.news, this.looks] = [at, 0, 0];
    [this.own, this.all] = [own, all];
  }

  /** Whether it is one of the versions, not of the source. */
  isTelling(at: number): boolean {
    return this.news >= tellingNews && at - this.since >= tellingTime;
  }
}

/** `3 requests at blue, 1 request at amber`; undefined where none are. */
export function formatInFlight(inFlight: InFlight): string | undefined {
  const parts = Object.entries(inFlight ?? {})
    .filter(([, count]) => count > 0)
    .map(([version, count]) => `${count} ${count === 1 ? "request" : "requests"} at ${version}`);
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** How the versions were left that have lost their traffic, where there is more to say than that they are idle. */
export function drainedLine(drained: Drained | null, inFlight: InFlight): string | undefined {
  const left = formatInFlight(inFlight);
  if (left !== undefined) return `still under way: ${left}`;
  if (drained === "quiet") {
    return "the versions of before get no requests any more; the balancer does not tell whether some are still under way";
  }
  return drained === "late"
    ? "the versions of before still got requests, or there were no new figures, when the time to drain was over"
    : undefined;
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

function drainingLine(inFlight: InFlight, others: readonly string[], waited: number, limit: number): string {
  const what = formatInFlight(inFlight) ?? `until no request of ${others.join(", ")} is counted any more`;
  return `waiting ${inFlight === null ? "" : "for "}${what}: ${formatDuration(waited)} of ${formatDuration(limit)}`;
}
