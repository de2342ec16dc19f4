import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { shareOf } from "../judge/proportion.ts";
import type { LoadFigures } from "../load-engine/plan.ts";
import type { LoadResult, ThresholdAnswer } from "../measured-series/load-result.ts";
import type { LoadMeasure, LoadThreshold } from "../measured-series/load-threshold.ts";

const shares: Partial<Record<LoadMeasure, number>> = {
  p50: 0.5,
  p75: 0.75,
  p90: 0.9,
  p95: 0.95,
  p99: 0.99,
  "p99.9": 0.999,
};
/** Requests beyond a percentile that make it more than a single bad one. */
const beyond = 10;
/** For a mean and the like. */
const fewest = 30;
/** Without a bad one, a rate below `limit` is certain to 95% after three divided by it. */
const ruleOfThree = 3;

/** Every threshold against the figures after the ramp-up. Too few requests are unknown, which is no pass. Pure. */
export function answerThresholds(
  figures: LoadFigures,
  thresholds: readonly LoadThreshold[],
  interrupted: boolean,
): ThresholdAnswer[] {
  return thresholds.map((threshold) => {
    const answer = answerOne(figures, threshold);
    const reason = interrupted ? `${answer.reason}; the load was ended early` : answer.reason;
    return {
      threshold: threshold.text,
      ...answer,
      reason,
      ...(interrupted && { status: "unknown" as const }),
    };
  });
}

export function verdictOf(answers: readonly ThresholdAnswer[]): LoadResult["verdict"] {
  if (answers.length === 0) return "none";
  if (answers.some(({ status }) => status === "fail")) return "fail";
  return answers.every(({ status }) => status === "pass") ? "pass" : "unknown";
}

type Answer = Omit<ThresholdAnswer, "threshold">;

function answerOne(figures: LoadFigures, threshold: LoadThreshold): Answer {
  const { measure } = threshold;
  if (measure === "error-rate") return answerRate(figures, threshold);
  if (measure === "throughput") {
    const shown = `throughput ${shownRate(figures.throughput)}`;
    if (figures.measuredMs < 1000)
      return { status: "unknown", measured: null, reason: `${shown}, of less than a second` };
    return { status: hold(figures.throughput, threshold), measured: figures.throughput, reason: shown };
  }
  const { latency, requests, failures } = figures;
  const measured = latency[measure === "p99.9" ? "p999" : measure];
  const timed = requests - failures.status - failures.connection;
  const share = shares[measure];
  const least = share === undefined ? fewest : Math.ceil(beyond / Number((1 - share).toFixed(4)));
  if (measured === null)
    return { status: "unknown", measured, reason: `${measure} unknown: no request was answered well` };
  const shown = `${measure} ${shownTime(measured)}`;
  if (timed < least) {
    const reason = `${shown}, but of ${timed} answers; ${least} are needed`;
    return { status: "unknown", measured, reason };
  }
  return { status: hold(measured, threshold), measured, reason: shown };
}

function answerRate(figures: LoadFigures, threshold: LoadThreshold): Answer {
  const { requests, bad, intervals } = figures;
  if (requests === 0)
    return { status: "unknown", measured: null, reason: "error rate unknown: there was no request" };
  const measured = (100 * bad) / requests;
  const shown = `${formatPercent(measured)} bad (${bad} of ${requests})`;
  const least = Math.ceil((100 * ruleOfThree) / Math.max(threshold.value, 0.001));
  const status = hold(measured, threshold);
  if (requests >= least) return { status, measured, reason: shown };
  // Few requests can prove that a rate is far too high, never that it is low.
  const { low } = shareOf(intervals.length === 0 ? [{ requests, bad }] : intervals, 0.95);
  if (status === "fail" && 100 * low > threshold.value) return { status, measured, reason: shown };
  const reason = `${shown}, but ${least} requests are needed to say ${threshold.text}`;
  return { status: "unknown", measured, reason };
}

function hold(measured: number, { operator, value }: LoadThreshold): "pass" | "fail" {
  const holds = {
    "<": measured < value,
    "<=": measured <= value,
    ">": measured > value,
    ">=": measured >= value,
  }[operator];
  return holds ? "pass" : "fail";
}

/** `4.2 ms`, `480 ms`, `1.2s`: below ten milliseconds a tenth counts. */
export function shownTime(ms: number): string {
  if (ms >= 1000) return formatDuration(ms);
  return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
}

export function shownRate(perSecond: number): string {
  const shown = perSecond >= 100 ? Math.round(perSecond) : Number(perSecond.toPrecision(2));
  return `${shown.toLocaleString("en-GB")}/s`;
}
