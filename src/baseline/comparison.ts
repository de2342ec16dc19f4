import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { formatBytes } from "../core/size.ts";
import { compareSeries, type LimitAnswer } from "../measured-series/compare.ts";
import { parseMeasureLimit } from "../measured-series/limit.ts";
import { machineDifference } from "../measured-series/machine.ts";
import { type Unit, unitSchema } from "../measured-series/series.ts";
import type { OperationContext } from "../run/context.ts";
import type { Sample } from "../run/sample.ts";
import { type BaselineFile, fileOf, readBaseline, requireBaseline } from "./baseline-file.ts";
import { fromOf, type Measured, measure, setupDifference } from "./source.ts";

const bound = z.number().nullable();

export const comparisonSchema = z.object({
  baseline: z.string(),
  from: z.string(),
  verdict: z.enum(["pass", "fail", "unknown"]),
  recordedAt: z.string().nullable(),
  recordedBy: z.string().nullable(),
  madeAt: z.string().nullable().describe("When the load ended; null for measures, which are taken now"),
  /** Of the baseline, and of now. */
  versions: z.object({ before: z.string().nullable(), now: z.string().nullable() }),
  commits: z.object({ before: z.string().nullable(), now: z.string().nullable() }),
  warnings: z.array(z.string()),
  limits: z.array(
    z.object({
      limit: z.string(),
      measure: z.string(),
      status: z.enum(["pass", "fail", "unknown"]),
      reason: z.string(),
      unit: unitSchema,
      before: bound,
      now: bound,
      interval: z
        .object({ estimate: z.number(), low: z.number(), high: z.number() })
        .nullable()
        .describe("What the change, or the value, may be: 95% for all limits together"),
      samples: z.object({ baseline: z.number(), current: z.number() }),
      batch: z.number().describe("Intervals that were averaged into one value"),
      p: bound.describe("Mann-Whitney, two-sided"),
      cliffsDelta: bound.describe("-1 to 1; above 0 what is now is larger"),
    }),
  ),
});
export type Comparison = z.output<typeof comparisonSchema>;

/**
 * Measures and holds it against the baseline. Throws `E_LIMIT` where there is no limit or one does not fit, `E_BASELINE`
 * where there is nothing to compare.
 */
export async function compareWithBaseline(
  context: OperationContext,
  name: string,
  given: { readonly from?: string | undefined; readonly limits?: readonly string[] | undefined },
  progress?: (done: number, total: number, sample: Sample) => void,
): Promise<Comparison> {
  const { environment } = context;
  const configured = environment.names("baselines").includes(name) ? environment.baseline(name).limits : [];
  const limits = (given.limits ?? configured).map(parseMeasureLimit);
  if (limits.length === 0) {
    throw new UsageError("E_LIMIT", `Nothing says what may change against the baseline ${name}`, {
      hint: "add limits: --limit 'p95 increase < 100ms' 'error-rate +1%', or limits: of the baseline in .opsrc",
    });
  }
  const from = fromOf(environment, name, given.from);
  const isAbsolute = limits.every((each) => each.of === "value");
  const file = isAbsolute
    ? await readBaseline(fileOf(environment, name))
    : await requireBaseline(environment, name);
  const found = await measure(context, from, undefined, progress);
  const apart = (measured: string) =>
    file === undefined ? undefined : incomparable(environment.name, file, found, measured);
  const machine = file === undefined ? undefined : machineDifference(file.machine, found.machine);
  const answers = compareSeries(file?.measures, found.series, limits);
  // Elsewhere, of another number of users, or in other intervals, any difference may come from that.
  const judged = answers.map((each) => shown(each, apart(each.measure)));
  return {
    baseline: name,
    from: found.from,
    verdict: judged.some(({ status }) => status === "fail")
      ? "fail"
      : judged.every(({ status }) => status === "pass")
        ? "pass"
        : "unknown",
    recordedAt: file?.recordedAt ?? null,
    recordedBy: file?.recordedBy ?? null,
    madeAt: found.madeAt ?? null,
    versions: { before: file?.version ?? null, now: found.version },
    commits: { before: file?.commit ?? null, now: found.commit },
    warnings: machine === undefined ? [] : [machine],
    limits: judged,
  };
}

/** Why no change of a measure says anything; undefined where nothing speaks against it. */
function incomparable(
  environment: string,
  file: BaselineFile,
  { from, madeAt, setup, sources }: Measured,
  measured: string,
): string | undefined {
  if (file.environment !== environment)
    return `the baseline is of the environment ${file.environment}, not of ${environment}`;
  // The load that the baseline was recorded from has not changed since.
  if (madeAt !== undefined && from === file.from && Date.parse(madeAt) <= Date.parse(file.recordedAt))
    return `the newest ${from} ended before the baseline was recorded: make it again`;
  const difference = setupDifference(file.setup, setup);
  if (difference !== undefined) return `measured in another way than the baseline: ${difference}`;
  return file.sources[measured] === sources[measured]
    ? undefined
    : `measured in another way than the baseline: ${measured} asks something else, or elsewhere`;
}

function shown(answer: LimitAnswer, apart: string | undefined): Comparison["limits"][number] {
  const { problem, ...rest } = answer;
  const isChange = answer.samples.baseline > 0;
  if (apart !== undefined && isChange) return { ...rest, status: "unknown", reason: apart };
  return { ...rest, reason: [numbers(answer), problem].filter((each) => each !== null).join("; ") };
}

/** `+8.7 ms (+5.2 ms to +12 ms)`: what changed, or what is, and what it may be. */
function numbers({ interval, unit, samples, cliffsDelta, limit }: LimitAnswer): string | null {
  if (interval === null) return null;
  const isDecrease = /\sdecrease\b/.test(limit);
  const { estimate, low, high } = isDecrease
    ? { estimate: -interval.estimate, low: -interval.high, high: -interval.low }
    : interval;
  if (samples.baseline === 0)
    return `${shownValue(estimate, unit)} (${shownValue(low, unit)} to ${shownValue(high, unit)})`;
  const change = (each: number) => `${each < 0 ? "-" : "+"}${shownValue(Math.abs(each), unit)}`;
  // A share of bad requests has no ranks: its change is in points, not in percent of what it was.
  const points = unit === "percent" && cliffsDelta === null ? " points" : "";
  return `${change(estimate)}${points} (${change(low)} to ${change(high)})`;
}

export function shownValue(value: number, unit: Unit): string {
  switch (unit) {
    case "ms":
      return value >= 1000 ? formatDuration(value) : `${Number(value.toPrecision(3))} ms`;
    case "bytes":
      return formatBytes(value);
    case "percent":
      return formatPercent(value);
    case "per-second":
      return `${Number(value.toPrecision(3))}/s`;
    case "number":
      return String(Number(value.toPrecision(4)));
  }
}

const symbols = { pass: "✓", fail: "✗", unknown: "?" } as const;

export function renderComparison({
  baseline,
  from,
  recordedAt,
  recordedBy,
  warnings,
  limits,
  verdict,
}: Comparison): string {
  const rows = limits.map(({ status, limit, reason }) => [`${symbols[status]} ${limit}`, reason]);
  const recorded =
    recordedAt === null
      ? "without a baseline"
      : `recorded ${recordedAt.slice(0, 16).replace("T", " ")} by ${recordedBy}`;
  return [
    `${from} against the baseline ${baseline}, ${recorded}`,
    ...warnings.map((each) => `warning: ${each}`),
    ...columns(rows, new Set()),
    `Baseline ${baseline}: ${verdict}`,
  ].join("\n");
}
