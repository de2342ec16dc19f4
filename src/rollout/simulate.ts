import { dispersionOf } from "../judge/dispersion.ts";
import { ErrorSource } from "../judge/error-source.ts";
import { type Random, seededRandom } from "../judge/random.ts";
import { enoughTimes, learningStretch } from "./learn.ts";
import { type JudgeSettings, judges } from "./simulated-judges.ts";
import type { Pair } from "./track.ts";

/** A canary on simulated traffic. */
export interface Scenario {
  /** Requests of the new version per second in the first step; the total is the same in all steps. */
  readonly rps: number;
  /** Share of bad requests of the old version, 0–1. */
  readonly errorRate: number;
  /** How many times as often the new version fails. */
  readonly ratio: number;
  /** Shares of the requests that are slow, 0–1, independently; undefined where request times are not known. */
  readonly slow: { readonly old: number; readonly new: number } | undefined;
  /** Mean number of bad requests in a row; 1: independent. */
  readonly burst: number;
  /** Shares of the new version, 0–1; at 1 there is nothing to compare with. */
  readonly steps: readonly number[];
  /** Seconds of each step. */
  readonly bake: number;
  /** Seconds for which the old version is watched before the first step. */
  readonly learn: number;
  /** An incident that both share: for one minute in the middle of the first step everything fails that many times as often. */
  readonly sharedIncident: number;
  readonly runs: number;
  readonly seed: number;
  readonly judge: Omit<JudgeSettings, "dispersion">;
}

export interface Performance {
  readonly judge: string;
  /** Share of the runs that were aborted, 0–1. */
  readonly aborted: number;
  /** Seconds after which the median of the aborted runs was; null where none was. */
  readonly median: number | null;
  /** Seconds in which nine of ten of the aborted runs were. */
  readonly p90: number | null;
}

/** How each judge does on the same traffic. */
export function simulate(scenario: Scenario): Performance[] {
  const found = new Map<string, number[]>(Object.keys(judges).map((name) => [name, []]));
  const random = seededRandom(scenario.seed);
  for (let run = 0; run < scenario.runs; run += 1) {
    for (const [judge, seconds] of simulateOnce(scenario, random)) found.get(judge)?.push(seconds);
  }
  return [...found].map(([judge, times]) => {
    const sorted = times.sort((a, b) => a - b);
    return {
      judge,
      aborted: sorted.length / scenario.runs,
      median: sorted[Math.floor(sorted.length / 2)] ?? null,
      p90: sorted[Math.floor(sorted.length * 0.9)] ?? null,
    };
  });
}

/** The seconds after which each judge aborted; those that did not are missing. */
function simulateOnce(scenario: Scenario, random: Random): Map<string, number> {
  const { rps, errorRate, ratio, burst, steps, bake, slow, judge: settings } = scenario;
  const { stretch } = settings;
  const total = rps / (steps[0] ?? 1);
  const dispersion = {
    errors: learned(scenario, total, new ErrorSource(random, errorRate, burst)),
    slow:
      slow === undefined || total * scenario.learn < enoughTimes
        ? undefined
        : learned(scenario, total, new ErrorSource(random, slow.old, 1)),
  };
  const left = new Map(
    Object.entries(judges).map(([name, create]) => [name, create({ ...settings, dispersion })]),
  );
  const errors = (times: number): Sources => ({
    baseline: new ErrorSource(random, Math.min(1, errorRate * times), burst),
    candidate: new ErrorSource(random, Math.min(1, errorRate * times * ratio), burst),
  });
  const [usual, incident] = [errors(1), errors(scenario.sharedIncident)];
  const slowness = slow && {
    baseline: new ErrorSource(random, slow.old, 1),
    candidate: new ErrorSource(random, slow.new, 1),
  };
  const aborted = new Map<string, number>();
  let now = 0;
  for (const share of steps) {
    for (const judge of left.values()) judge.begin?.();
    for (let baked = 0; baked < bake && left.size > 0; baked += stretch) {
      const inIncident = scenario.sharedIncident !== 1 && now >= bake / 2 && now < bake / 2 + 60;
      // Whole requests, and over time as many as there should be.
      const sent = (rate: number) => Math.round(rate * (now + stretch)) - Math.round(rate * now);
      const requests = { candidate: sent(total * share), baseline: sent(total * (1 - share)) };
      const traffic = {
        errors: taken(inIncident ? incident : usual, requests),
        slow: slowness && taken(slowness, requests),
      };
      now += stretch;
      for (const [name, judge] of left) {
        if (!judge.look(traffic)) continue;
        aborted.set(name, now);
        left.delete(name);
      }
    }
  }
  return aborted;
}

interface Sources {
  readonly candidate: ErrorSource;
  readonly baseline: ErrorSource;
}

function taken({ candidate, baseline }: Sources, requests: Record<keyof Sources, number>): Pair {
  return { candidate: candidate.take(requests.candidate), baseline: baseline.take(requests.baseline) };
}

/** The dispersion that is found before the first step, when the old version has all traffic. */
function learned({ learn }: Scenario, rps: number, source: ErrorSource): number {
  const stretch = learningStretch(1000 * learn) / 1000;
  const stretches = learn === 0 ? 0 : Math.round(learn / stretch);
  return dispersionOf(Array.from({ length: stretches }, () => source.take(Math.round(rps * stretch))));
}
