import type { Outcomes } from "../judge/e-process.ts";
import { thresholdOf, toleratedSlow } from "./comparison.ts";
import { provenExcess } from "./excess.ts";
import type { Judge, JudgeSettings } from "./simulated-judges.ts";
import { minus, nothing, plus, Track } from "./track.ts";
import { recentLength } from "./window.ts";

/** What ends a canary of `ops`, by the code that ends it: the comparison, and the error rate of `abort-when`. */
export function opsJudge({
  stretch,
  alpha,
  tolerate,
  errorRate,
  minRequests,
  dispersion,
}: JudgeSettings): Judge {
  const tracks = {
    errors: new Track(dispersion.errors, tolerate),
    slow:
      dispersion.slow === undefined
        ? undefined
        : new Track(dispersion.slow, Math.max(tolerate, toleratedSlow)),
  };
  const threshold = thresholdOf(alpha, tracks.slow === undefined ? 1 : 2);
  const newest = Math.max(1, Math.floor(recentLength / 1000 / stretch));
  let step = nothing;
  let recent = nothing;
  let stretches: Outcomes[] = [];
  return {
    begin() {
      [step, recent, stretches] = [nothing, nothing, []];
    },
    look({ errors, slow }) {
      const { candidate } = errors;
      step = plus(step, candidate);
      recent = plus(recent, candidate);
      stretches.push(candidate);
      if (stretches.length > newest) recent = minus(recent, stretches.shift() ?? nothing);
      if (provenExcess(step, recent, errorRate, minRequests, dispersion.errors) !== undefined) return true;
      tracks.errors.add(errors);
      if (slow !== undefined) tracks.slow?.add(slow);
      return [tracks.errors, tracks.slow].some((each) => (each?.evidence ?? 0) >= threshold);
    },
  };
}
