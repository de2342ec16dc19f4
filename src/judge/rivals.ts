import type { Outcomes } from "./e-process.ts";
import { EProcess } from "./e-process.ts";
import { mannWhitney } from "./mann-whitney.ts";

/** Looks at one stretch after the other and says when the canary must end. */
export interface Judge {
  /** True: abort. */
  look(candidate: Outcomes, baseline: Outcomes): boolean;
}

export interface JudgeSettings {
  /** Seconds of one stretch. */
  readonly stretch: number;
  /** Wanted share of false aborts over a whole canary, 0–1. */
  readonly alpha: number;
  /** The fixed limit of the error rate, 0–1. */
  readonly limit: number;
  readonly dispersion: number;
}

/** Seconds that a fixed limit and Mann-Whitney look back, as the analysis of Argo Rollouts and Flagger does. */
const minute = 60;

/** How each kind of judge decides; models of the rules, not the tools themselves. */
export const judges: Readonly<Record<string, (settings: JudgeSettings) => Judge>> = {
  "e-process": ({ alpha, dispersion }) => {
    const process = new EProcess(dispersion);
    return {
      look(candidate, baseline) {
        process.add(candidate, baseline);
        return process.evidence >= 1 / alpha;
      },
    };
  },
  "limit, once": (settings) => limitJudge(settings, 1),
  "limit, 3 times": (settings) => limitJudge(settings, 3),
  "limit, 5 times": (settings) => limitJudge(settings, 5),
  "Mann-Whitney": ({ stretch }) => {
    let looks = 0;
    const rates: { candidate: number[]; baseline: number[] } = { candidate: [], baseline: [] };
    return {
      look(candidate, baseline) {
        if (baseline.requests > 0 && candidate.requests > 0) {
          rates.candidate.push(candidate.bad / candidate.requests);
          rates.baseline.push(baseline.bad / baseline.requests);
        }
        looks += 1;
        if (!endsMinute(looks, stretch)) return false;
        // 98% confidence, two-sided, as Kayenta's judge has it.
        return mannWhitney(rates.candidate, rates.baseline) > 2.326;
      },
    };
  },
};

function endsMinute(looks: number, stretch: number): boolean {
  return Math.floor((looks * stretch) / minute) > Math.floor(((looks - 1) * stretch) / minute);
}

/** Once a minute: the error rate of the last minute is over the limit, for the n-th time. */
function limitJudge({ stretch, limit }: JudgeSettings, times: number): Judge {
  const recent: Outcomes[] = [];
  let failed = 0;
  let looks = 0;
  return {
    look(candidate) {
      recent.push(candidate);
      if (recent.length * stretch > minute) recent.shift();
      looks += 1;
      if (!endsMinute(looks, stretch)) return false;
      const requests = recent.reduce((total, each) => total + each.requests, 0);
      const bad = recent.reduce((total, each) => total + each.bad, 0);
      if (requests > 0 && bad / requests > limit) failed += 1;
      return failed >= times;
    },
  };
}
