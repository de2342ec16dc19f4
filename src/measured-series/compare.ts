import { UsageError } from "../core/errors.ts";
import { driftingMedian, driftingShift } from "../judge/drifting.ts";
import { type Independent, independentValues } from "../judge/independent.ts";
import { answerOf, type Interval } from "../judge/interval.ts";
import { compareRanks } from "../judge/mann-whitney.ts";
import { twoSided } from "../judge/normal.ts";
import { shareIncrease, shareOf } from "../judge/proportion.ts";
import { medianOf, shiftBetween } from "../judge/shift.ts";
import type { MeasureLimit } from "./limit.ts";
import { type Measure, measureName, type Series, type Unit } from "./series.ts";

/** Fewer values on a side than this are no sample. */
export const fewestSamples = 10;
/** Of values that are averages of neighbours fewer will do: each of them is steadier. */
const fewestBatches = 6;
/** Fewer requests on a side than this say nothing about a share of bad ones. */
export const fewestRequests = 100;
/** The chance that one limit or another is answered wrongly, at most, over all limits of a comparison. */
const alpha = 0.05;

/** How one limit came out. */
export interface LimitAnswer {
  readonly limit: string;
  readonly measure: string;
  readonly status: "pass" | "fail" | "unknown";
  /** The change, or the value where the limit is about that, with what it may be; null where nothing can be said. */
  readonly interval: Interval | null;
  /** Of `interval`: `percent` is of the baseline, or percentage points for a rate. */
  readonly unit: Unit;
  /** Medians, or shares in percent. */
  readonly before: number | null;
  readonly now: number | null;
  /** Independent values, or requests, that each side came to. */
  readonly samples: { readonly baseline: number; readonly current: number };
  /** How many intervals were averaged into one value, since neighbours are alike. */
  readonly batch: number;
  /** Of the Mann-Whitney test, two-sided; null for shares and single values. */
  readonly p: number | null;
  /** -1 to 1; above 0 the current values are larger. */
  readonly cliffsDelta: number | null;
  /** Why it is unknown. */
  readonly problem: string | null;
}

/**
 * Every limit, answered from the whole interval of what the change may be: all limits together are right in 95% of
 * comparisons. Pure. Throws `E_LIMIT` where a limit does not fit its measure.
 *
 * @param baseline undefined where all limits are about values alone
 */
export function compareSeries(
  baseline: Series | undefined,
  current: Series,
  limits: readonly MeasureLimit[],
): LimitAnswer[] {
  const confidence = 1 - alpha / Math.max(1, limits.length);
  return limits.map((limit) => answer(baseline, current, limit, confidence));
}

function answer(
  baseline: Series | undefined,
  series: Series,
  limit: MeasureLimit,
  confidence: number,
): LimitAnswer {
  const now = measureOf(series, limit, "what was measured now");
  if (limit.of === "value") return answerValue(now, limit, confidence);
  const before = measureOf(baseline ?? {}, limit, "the baseline");
  if (before.kind === "counts" && now.kind === "counts") {
    requireUnit(limit, ["percent"]);
    return answerShares(before, now, limit, confidence);
  }
  if (before.kind === "counts" || now.kind === "counts" || before.unit !== now.unit) {
    throw mistake(limit, "the baseline has it in another unit", "record the baseline anew");
  }
  requireUnit(limit, [...limitUnits[now.unit], ...(now.unit === "percent" ? [] : (["percent"] as const))]);
  return answerShift(before.values, now.values, now.unit, limit, confidence);
}

function measureOf(series: Series, limit: MeasureLimit, where: string): Measure {
  const name = measureName(series, limit.measure);
  const found = name === undefined ? undefined : series[name];
  if (found !== undefined) return found;
  throw mistake(limit, `${where} has no "${limit.measure}"`, `it has ${Object.keys(series).join(", ")}`);
}

const limitUnits: Readonly<Record<Unit, readonly MeasureLimit["unit"][]>> = {
  ms: ["duration"],
  bytes: ["bytes"],
  percent: ["percent"],
  "per-second": ["number"],
  number: ["number"],
};

function requireUnit(limit: MeasureLimit, allowed: readonly MeasureLimit["unit"][]): void {
  if (allowed.includes(limit.unit)) return;
  const examples = { percent: "5%", duration: "100ms", bytes: "20MiB", number: "3" };
  throw mistake(
    limit,
    "its unit does not fit",
    `write it as ${allowed.map((each) => examples[each]).join(" or ")}`,
  );
}

function mistake(limit: MeasureLimit, what: string, hint: string): UsageError {
  return new UsageError("E_LIMIT", `The limit "${limit.text}" cannot be looked at: ${what}`, { hint });
}

function answerValue(now: Measure, limit: MeasureLimit, confidence: number): LimitAnswer {
  if (now.kind === "counts") {
    requireUnit(limit, ["percent"]);
    const requests = requestsOf(now);
    const share = percentOf(shareOf(now.intervals, confidence));
    const enough = requests >= fewestRequests ? null : tooFew(requests, fewestRequests, "requests");
    const samples = { baseline: 0, current: requests };
    return finish(limit, "percent", enough === null ? share : null, enough, { now: share.estimate, samples });
  }
  requireUnit(limit, limitUnits[now.unit]);
  const independent = enough(now.values);
  const samples = { baseline: 0, current: independent?.values.length ?? now.values.length };
  const facts = { now: medianValue(now.values), samples, batch: independent?.batch ?? 1 };
  if (now.values.length < fewestSamples)
    return finish(limit, now.unit, null, tooFew(now.values.length, fewestSamples, "samples"), facts);
  if (independent === undefined)
    return finish(limit, now.unit, driftingMedian(now.values), drifting(now.values.length), facts);
  return finish(limit, now.unit, medianOf(independent.values, confidence), null, facts);
}

type Counts = Extract<Measure, { kind: "counts" }>;

function answerShares(before: Counts, now: Counts, limit: MeasureLimit, confidence: number): LimitAnswer {
  const samples = { baseline: requestsOf(before), current: requestsOf(now) };
  const least = Math.min(samples.baseline, samples.current);
  const facts = { samples, before: percentIn(before), now: percentIn(now) };
  if (least < fewestRequests)
    return finish(limit, "percent", null, tooFew(least, fewestRequests, "requests"), facts);
  const sides =
    limit.of === "increase"
      ? ([before.intervals, now.intervals] as const)
      : ([now.intervals, before.intervals] as const);
  return finish(limit, "percent", percentOf(shareIncrease(...sides, confidence)), null, facts);
}

function answerShift(
  before: readonly number[],
  now: readonly number[],
  unit: Unit,
  limit: MeasureLimit,
  confidence: number,
): LimitAnswer {
  const [old, fresh] = [before, now].map(enough);
  const facts = {
    before: medianValue(before),
    now: medianValue(now),
    samples: {
      baseline: old?.values.length ?? before.length,
      current: fresh?.values.length ?? now.length,
    },
    batch: Math.max(old?.batch ?? 1, fresh?.batch ?? 1),
  };
  const isRelative = limit.unit === "percent" && unit !== "percent";
  const shown = isRelative ? ("percent" as const) : unit;
  const [side, least] =
    before.length < now.length ? ["the baseline", before.length] : ["the current sample", now.length];
  if (least < fewestSamples)
    return finish(limit, shown, null, `${side}: ${tooFew(least, fewestSamples, "samples")}`, facts);
  const isIndependent = old !== undefined && fresh !== undefined;
  const ranks = compareRanks(fresh?.values ?? now, old?.values ?? before);
  // Of values that depend on each other the test's chance would be wrong; the effect is what it is.
  const known = { ...facts, p: isIndependent ? twoSided(ranks.z) : null, cliffsDelta: ranks.cliffsDelta };
  if (isRelative && [...before, ...now].some((each) => each <= 0)) {
    return finish(limit, shown, null, "it is 0 at times: an increase in percent says nothing", known);
  }
  const scale = (values: readonly number[]) => (isRelative ? values.map(Math.log) : values);
  const shift = isIndependent
    ? shiftBetween(scale(old.values), scale(fresh.values), confidence)
    : driftingShift(scale(before), scale(now));
  const change = isRelative ? mapped(shift, (each) => 100 * Math.expm1(each)) : shift;
  const problem = isIndependent ? null : drifting(least);
  return finish(limit, shown, limit.of === "increase" ? change : opposite(change), problem, known);
}

type Facts = Partial<Pick<LimitAnswer, "before" | "now" | "batch" | "p" | "cliffsDelta">> &
  Pick<LimitAnswer, "samples">;

function finish(
  limit: MeasureLimit,
  unit: Unit,
  interval: Interval | null,
  problem: string | null,
  facts: Facts,
): LimitAnswer {
  const common = {
    limit: limit.text,
    measure: limit.measure,
    unit,
    interval,
    before: null,
    now: null,
    batch: 1,
    p: null,
    cliffsDelta: null,
    ...facts,
  };
  if (interval === null) return { ...common, status: "unknown", problem: `not enough data: ${problem}` };
  if (!Number.isFinite(interval.low) || !Number.isFinite(interval.high)) {
    const needed = `with ${limit.text} beside other limits, more samples are needed than there are`;
    return { ...common, interval: null, status: "unknown", problem: `not enough data: ${needed}` };
  }
  const answered = answerOf(interval, limit);
  if (answered.status !== "unknown") return { ...common, status: answered.status, problem: null };
  if (problem !== null) return { ...common, status: "unknown", problem: `not enough data: ${problem}` };
  const { factor } = answered;
  const smaller =
    facts.samples.baseline === 0
      ? facts.samples.current
      : Math.min(facts.samples.baseline, facts.samples.current);
  const more =
    factor === null
      ? "the change lies at the limit, and no number of samples would tell"
      : `about ${Math.max(1, Math.ceil(smaller * (factor - 1) * common.batch))} more on each side would do if it stays like that`;
  return { ...common, status: "unknown", problem: `not enough data: ${more}` };
}

function enough(values: readonly number[]): Independent | undefined {
  return values.length < fewestSamples ? undefined : independentValues(values, fewestBatches);
}

function tooFew(count: number, least: number, what: string): string {
  return `${count} ${what}, ${least - count} more are needed`;
}

function drifting(count: number): string {
  return `${count} samples that depend on the ones before them count as fewer than ${fewestBatches}; measure longer, or less often`;
}

function requestsOf({ intervals }: Counts): number {
  return intervals.reduce((sum, each) => sum + each.requests, 0);
}

function percentIn(counts: Counts): number | null {
  const requests = requestsOf(counts);
  const bad = counts.intervals.reduce((sum, each) => sum + each.bad, 0);
  return requests === 0 ? null : (100 * bad) / requests;
}

function percentOf(interval: Interval): Interval {
  return mapped(interval, (each) => 100 * each);
}

function mapped({ estimate, low, high }: Interval, change: (value: number) => number): Interval {
  return { estimate: change(estimate), low: change(low), high: change(high) };
}

function opposite({ estimate, low, high }: Interval): Interval {
  return { estimate: -estimate, low: -high, high: -low };
}

function medianValue(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}
