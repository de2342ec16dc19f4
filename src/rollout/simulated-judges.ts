import type { Outcomes } from "../judge/e-process.ts";
import { mannWhitney } from "../judge/mann-whitney.ts";
import { opsJudge } from "./simulated-ops.ts";
import { nothing, type Pair, plus } from "./track.ts";

/** What happened in one stretch of time. */
export interface Traffic {
  readonly errors: Pair;
  /** Requests that took longer than the limit; undefined where request times are not known. */
  readonly slow: Pair | undefined;
}

/** Looks at one stretch after the other and says when the canary must end. */
export interface Judge {
  /** A step begins. */
  begin?(): void;
  /** True: abort. */
  look(traffic: Traffic): boolean;
}

export interface JudgeSettings {
  /** Seconds of one stretch. */
  readonly stretch: number;
  /** Wanted share of false aborts over a whole canary, 0–1. */
  readonly alpha: number;
  /** How many times as often the new version may fail, from 1. */
  readonly tolerate: number;
  /** The error rate of `abort-when`, 0–1. */
  readonly errorRate: number;
  readonly minRequests: number;
  /** The error rate that the fixed limits of the others compare with, 0–1. */
  readonly limit: number;
  /** Of errors, and of slow requests where they are compared. */
  readonly dispersion: { readonly errors: number; readonly slow: number | undefined };
}

/** Seconds that a fixed limit and Mann-Whitney look back, as the analysis of Argo Rollouts and Flagger does. */
const minute = 60;

/** Seconds of a stretch of the others, which need not look as often. */
const longStretch = 10;

/**
 * How each kind of judge decides: that of `ops`, and models of the rules of others, not the tools themselves. Where slow requests are known
 * the others look at those, and not at errors.
 */
export const judges: Readonly<Record<string, (settings: JudgeSettings) => Judge>> = {
  ops: opsJudge,
  "limit, once": (settings) => inLongStretches(settings, (longer) => limitJudge(longer, 1)),
  "limit, 3 times": (settings) => inLongStretches(settings, (longer) => limitJudge(longer, 3)),
  "limit, 5 times": (settings) => inLongStretches(settings, (longer) => limitJudge(longer, 5)),
  "Mann-Whitney": (settings) => inLongStretches(settings, mannWhitneyJudge),
};

type Looks = (candidate: Outcomes, baseline: Outcomes) => boolean;

function inLongStretches(settings: JudgeSettings, create: (settings: JudgeSettings) => Looks): Judge {
  const each = Math.max(1, Math.round(longStretch / settings.stretch));
  const looks = create({ ...settings, stretch: each * settings.stretch });
  let [seen, candidate, baseline] = [0, nothing, nothing];
  return {
    look({ errors, slow = errors }) {
      candidate = plus(candidate, slow.candidate);
      baseline = plus(baseline, slow.baseline);
      seen += 1;
      if (seen % each !== 0) return false;
      const aborts = looks(candidate, baseline);
      [candidate, baseline] = [nothing, nothing];
      return aborts;
    },
  };
}

function mannWhitneyJudge({ stretch }: JudgeSettings): Looks {
  let looks = 0;
  const rates: { candidate: number[]; baseline: number[] } = { candidate: [], baseline: [] };
  return (candidate, baseline) => {
    if (baseline.requests > 0 && candidate.requests > 0) {
      rates.candidate.push(candidate.bad / candidate.requests);
      rates.baseline.push(baseline.bad / baseline.requests);
    }
    looks += 1;
    if (!endsMinute(looks, stretch)) return false;
    // 98% confidence, two-sided, as Kayenta's judge has it.
    return mannWhitney(rates.candidate, rates.baseline) > 2.326;
  };
}

function endsMinute(looks: number, stretch: number): boolean {
  return Math.floor((looks * stretch) / minute) > Math.floor(((looks - 1) * stretch) / minute);
}

/** Once a minute: the error rate of the last minute is over the limit, for the n-th time. */
function limitJudge({ stretch, limit }: JudgeSettings, times: number): Looks {
  const recent: Outcomes[] = [];
  let failed = 0;
  let looks = 0;
  return (candidate) => {
    recent.push(candidate);
    if (recent.length * stretch > minute) recent.shift();
    looks += 1;
    if (!endsMinute(looks, stretch)) return false;
    const { requests, bad } = recent.reduce(plus, nothing);
    if (requests > 0 && bad / requests > limit) failed += 1;
    return failed >= times;
  };
}
