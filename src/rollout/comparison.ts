import { z } from "zod";
import type { Outcomes } from "../judge/e-process.ts";
import { badRequests, CountingWindow, settledRequests } from "../request-source/counters.ts";
import type { ResponseTimes } from "../request-source/response-times.ts";
import type { Reading } from "./reading.ts";
import { minus, nothing, type Pair, plus, Track, trackState } from "./track.ts";

/** Version → its request times in a stretch of time. */
export type TimesByVersion = ReadonlyMap<string, ResponseTimes>;

/** What was learned of the versions that serve, before the new one gets anything. */
export const learnedSchema = z.object({
  /** Of bad requests: variance over mean, from 1. */
  dispersion: z.number(),
  /** Null where request times are not known. */
  slow: z
    .object({
      /** Milliseconds: their p95 and what nobody notices. A request that takes longer is slow. */
      limit: z.number(),
      dispersion: z.number(),
    })
    .nullable(),
});
export type Learned = z.output<typeof learnedSchema>;

/** What is known without having watched: errors are taken for independent, and latency is not compared. */
export const unlearned: Learned = { dispersion: 1, slow: null };

/** What a comparison needs to go on after a crash. */
export const comparisonState = z.object({
  learned: learnedSchema,
  errors: trackState,
  slow: trackState.nullable(),
});
export type ComparisonState = z.output<typeof comparisonState>;

/** What the comparison of one kind of outcome says, over the whole canary. */
export const finding = z.object({
  of: z
    .enum(["errors", "slow"])
    .describe("slow: requests that took longer than the p95 of before the canary by slower-by"),
  evidence: z.number().describe("The e-value; 1: nothing is known"),
  threshold: z
    .number()
    .describe("The e-value at which the canary is aborted: 1/α, 2/α where latency is compared too"),
  ratio: z
    .number()
    .nullable()
    .describe("How many times as often as beside it; null where there nothing is bad"),
  requests: z.number().describe("Of the new version"),
  bad: z.number(),
  besideRequests: z.number().describe("Of the versions serving at the same time"),
  besideBad: z.number(),
  limit: z.number().nullable().describe("Milliseconds from which a request is slow"),
});
export type Finding = z.output<typeof finding>;

export interface ComparisonSettings {
  /** How many healthy canaries may be aborted by the comparison, 0–1. */
  readonly alpha: number;
  /** How many times as often the new version may fail, from 1. */
  readonly tolerate: number;
}

/** A latency that is a little longer puts many requests over a limit; twice as many are no reason to abort. */
export const toleratedSlow = 2;

/** The e-value that ends a canary. Each comparison is a chance to be wrong: several share α between them. */
export const thresholdOf = (alpha: number, comparisons: number) => comparisons / alpha;

/** The new version against those that serve beside it at the same time, over all steps of one canary. */
export class Comparison {
  private readonly version: string;
  private readonly settings: ComparisonSettings;
  readonly learned: Learned;
  private readonly errors: Track;
  private readonly slow: Track | undefined;
  private window: CountingWindow | undefined;
  private last = new Map<string, Outcomes>();

  constructor(version: string, settings: ComparisonSettings, learned: Learned, state?: ComparisonState) {
    this.version = version;
    this.settings = settings;
    this.learned = state?.learned ?? learned;
    this.errors = new Track(this.learned.dispersion, settings.tolerate, state?.errors);
    this.slow =
      this.learned.slow === null
        ? undefined
        : new Track(
            this.learned.slow.dispersion,
            Math.max(settings.tolerate, toleratedSlow),
            state?.slow ?? undefined,
          );
  }

  /** A step begins: what was counted until now is not compared. */
  begin(reading: Reading): void {
    this.window = new CountingWindow(reading);
    this.last = new Map();
  }

  add(reading: Reading, times: TimesByVersion | undefined): void {
    const { window } = this;
    if (window === undefined) throw new Error("a comparison was not begun");
    window.add(reading);
    const pair: Pair = { candidate: nothing, baseline: nothing };
    const slow: Pair = { candidate: nothing, baseline: nothing };
    for (const { version } of reading) {
      const side = version === this.version ? "candidate" : "baseline";
      const counts = window.counts(version);
      const now = { requests: settledRequests(counts), bad: badRequests(counts) };
      pair[side] = plus(pair[side], minus(now, this.last.get(version) ?? nothing));
      this.last.set(version, now);
      const found = times?.get(version);
      const limit = this.learned.slow?.limit;
      if (found !== undefined && limit !== undefined) {
        slow[side] = plus(slow[side], { requests: found.total, bad: found.count((time) => time > limit) });
      }
    }
    this.errors.add(pair);
    this.slow?.add(slow);
  }

  get findings(): Finding[] {
    const { errors, slow, learned } = this;
    const threshold = thresholdOf(this.settings.alpha, slow === undefined ? 1 : 2);
    return [
      { of: "errors" as const, limit: null, threshold, ...errors.summary },
      ...(slow === undefined
        ? []
        : [{ of: "slow" as const, limit: learned.slow?.limit ?? null, threshold, ...slow.summary }]),
    ];
  }

  get state(): ComparisonState {
    return { learned: this.learned, errors: this.errors.state, slow: this.slow?.state ?? null };
  }
}
