import { dispersionOf } from "./dispersion.ts";
import type { Outcomes } from "./e-process.ts";
import { ErrorSource } from "./error-source.ts";
import { seededRandom } from "./random.ts";
import { type JudgeSettings, judges } from "./rivals.ts";

/** A canary on simulated traffic. */
export interface Scenario {
  /** Requests of the new version per second in the first step; the total is the same in all steps. */
  readonly rps: number;
  /** Share of bad requests of the old version, 0–1. */
  readonly errorRate: number;
  /** How many times as often the new version fails. */
  readonly ratio: number;
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
function simulateOnce(scenario: Scenario, random: () => number): Map<string, number> {
  const { rps, errorRate, ratio, burst, steps, bake, learn, judge: settings } = scenario;
  const { stretch } = settings;
  const total = rps / (steps[0] ?? 1);
  const learned = new ErrorSource(random, errorRate, burst);
  const before = Array.from({ length: Math.round(learn / stretch) }, () =>
    learned.take(Math.round(total * stretch)),
  );
  const dispersion = dispersionOf(before);
  const left = new Map(
    Object.entries(judges).map(([name, create]) => [name, create({ ...settings, dispersion })]),
  );
  const source = (times: number) => ({
    old: new ErrorSource(random, Math.min(1, errorRate * times), burst),
    new: new ErrorSource(random, Math.min(1, errorRate * times * ratio), burst),
  });
  const [usual, incident] = [source(1), source(scenario.sharedIncident)];
  const aborted = new Map<string, number>();
  let now = 0;
  for (const share of steps) {
    for (let baked = 0; baked < bake && left.size > 0; baked += stretch) {
      const inIncident = scenario.sharedIncident !== 1 && now >= bake / 2 && now < bake / 2 + 60;
      const { new: candidate, old: baseline } = inIncident ? incident : usual;
      now += stretch;
      const seen: Outcomes = candidate.take(Math.round(total * share * stretch));
      const beside: Outcomes = baseline.take(Math.round(total * (1 - share) * stretch));
      for (const [name, judge] of left) {
        if (!judge.look(seen, beside)) continue;
        aborted.set(name, now);
        left.delete(name);
      }
    }
  }
  return aborted;
}
