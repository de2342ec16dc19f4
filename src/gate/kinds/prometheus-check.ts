import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { formatPercent } from "../../core/percent.ts";
import { duration } from "../../core/schema.ts";
import { exceeds, type Threshold } from "../../core/threshold.ts";
import { queryVector } from "../../prometheus/client.ts";
import { formatLabels, type Labels } from "../../prometheus/outcome.ts";
import { queryRange } from "../../prometheus/range.ts";
import type { PrometheusServer } from "../../prometheus/request.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { hasLimits, judgeByLimits } from "../../run/limits.ts";
import { firingAlerts } from "../firing-alerts.ts";
import { prometheusPlace, prometheusServer } from "../prometheus-place.ts";

/** More series than anybody reads, or the journal should keep. */
const mostSeries = 200;
/** Of the values that a range could have, the part that a series must have to say anything about it. */
const leastPart = 0.5;

const input = z
  .strictObject({
    query: z
      .string()
      .trim()
      .min(1, "must not be empty")
      .describe("PromQL: an instant vector or a scalar")
      .optional(),
    unit: z
      .enum(["number", "seconds", "milliseconds", "ratio"])
      .default("number")
      .describe("What the values are; limits are durations for seconds, and percent for a ratio (0–1)"),
    series: z
      .enum(["one", "any", "all", "max", "min"])
      .default("one")
      .describe(
        "one: several are unknown; any, all: which of them must break a limit; max, min: that value counts",
      ),
    absent: z
      .enum(["unknown", "pass", "fail"])
      .default("unknown")
      .describe("What it is where the expression gives no series"),
    over: duration("Instead of now: all values of so long").optional(),
    step: duration("With over: between two values; default: a sixtieth of it").optional(),
    take: z.enum(["max", "min", "mean"]).default("max").describe("With over: what of each series counts"),
    alerts: z
      .record(z.string(), z.union([z.string(), z.array(z.string()).min(1, "needs at least one")]))
      .describe("Instead of query: no alert with these labels may fire; {} stands for all")
      .optional(),
    except: z.array(z.string()).describe("With alerts: names of alerts that do not count").optional(),
    ...prometheusPlace,
  })
  .superRefine((value, context) => {
    const mistake = (key: string, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if ((value.query === undefined) === (value.alerts === undefined))
      mistake("query", 'needs either "query:" or "alerts:"');
    if (value.alerts === undefined && value.except !== undefined) mistake("except", 'needs "alerts:"');
    if (value.step !== undefined && value.over === undefined) mistake("step", 'needs "over:"');
    if (value.url !== undefined && value.route !== undefined) mistake("route", 'has no place beside "url:"');
    for (const key of ["headers", "user", "password"] as const)
      if (value[key] !== undefined && value.url === undefined) mistake(key, 'needs "url:"');
  });
type Input = z.output<typeof input>;

/** `values`: how many the range has of it, beside the one that counts. */
type Seen = { labels: { [label: string]: string }; value: number | null; values?: number };
type PrometheusEvidence = { query: string; over: number | null; series: Seen[]; warnings: string[] };

const units: Readonly<Record<Input["unit"], readonly Threshold["unit"][]>> = {
  number: ["number", "percent", "bytes"],
  seconds: ["duration"],
  milliseconds: ["duration"],
  ratio: ["percent"],
};

export const prometheusCheck = defineCheck({
  kind: "prometheus",
  summary: "The value of a PromQL expression, now or over a time, or that no alert fires",
  why: "What the metrics say already will not get better by a change.",
  remedy: "Open the expression in Prometheus and find out since when it is so.",
  limitUnits: ({ alerts, unit }) => (alerts === undefined ? units[unit] : ["number"]),
  input,
  async measure(context, settings): Promise<Measurement> {
    const server = prometheusServer(context.environment, settings);
    const { query, alerts, except = [] } = settings;
    if (query === undefined) return firingAlerts(server, alerts ?? {}, except, context.signal);
    const { series, warnings } = await seriesOf(context, server, query, settings);
    if (series.length > mostSeries) {
      throw new OpsError(
        "E_PROMETHEUS_SERIES",
        `The expression gives ${series.length} series, and at most ${mostSeries} are judged`,
        {
          hint: `join them: sum(${query})`,
          retryable: false,
        },
      );
    }
    const over = settings.over ?? null;
    const evidence: PrometheusEvidence = { query, over, series, warnings: [...warnings] };
    const values = series.flatMap(({ value }) => value ?? []);
    const value =
      values.length === 0 ? null : settings.series === "min" ? Math.min(...values) : Math.max(...values);
    return { value, shown: value === null ? "no value" : shownValue(value, settings), evidence };
  },
  judge: (measurement, settings, limits) => {
    if (settings.query !== undefined) return judgeSeries(measurement, settings, limits);
    const { value, shown } = measurement;
    if (typeof value !== "number") return { status: "unknown", reason: shown };
    if (limits.fail === undefined && value > 0) return { status: "fail", reason: shown };
    return judgeByLimits(value, shown, limits);
  },
});

async function seriesOf(
  context: OperationContext,
  server: PrometheusServer,
  query: string,
  { over, step, take, unit }: Input,
): Promise<{ series: Seen[]; warnings: readonly string[] }> {
  if (over === undefined) {
    const outcome = await queryVector(server, query, { signal: context.signal });
    if (outcome.kind === "error") throw outcome.error;
    const samples = outcome.kind === "empty" ? [] : outcome.samples;
    const series = samples.map(({ labels, value }) => ({
      labels: { ...labels },
      value: Number.isFinite(value) ? inUnit(value, unit) : null,
    }));
    return { series, warnings: outcome.warnings };
  }
  // In whole milliseconds, for that is what a server takes.
  const every = Math.max(1, Math.round(step ?? over / 60));
  const end = context.clock.now().getTime();
  const { series, warnings } = await queryRange(server, query, { end, over, step: every }, context.signal);
  const possible = Math.floor(over / every) + 1;
  const seen = series.map(({ labels, values }) => ({
    labels: { ...labels },
    value: values.length < possible * leastPart ? null : inUnit(taken(values, take), unit),
    values: values.length,
  }));
  return { series: seen, warnings };
}

function taken(values: readonly number[], take: Input["take"]): number {
  if (take === "mean") return values.reduce((sum, each) => sum + each, 0) / values.length;
  return values.reduce((a, b) => (take === "max" ? Math.max(a, b) : Math.min(a, b)));
}

function judgeSeries(
  { value, shown, evidence }: Measurement,
  settings: Input,
  limits: CheckLimits,
): Judgement {
  const { series, warnings } = evidence as PrometheusEvidence;
  const doubt = warnings.length === 0 ? "" : ` (Prometheus warns: ${warnings[0]})`;
  if (series.length === 0)
    return { status: settings.absent, reason: `the expression gives no series${doubt}` };
  if (settings.series === "one" && series.length > 1) {
    const names = series.slice(0, 3).map(({ labels }) => formatLabels(labels));
    const reason = `the expression gives ${series.length} series, ${names.join(", ")}${series.length > 3 ? ", …" : ""}: join them, or say which count under "series:"`;
    return { status: "unknown", reason };
  }
  const blind = series.find((each) => each.value === null);
  if (blind !== undefined || typeof value !== "number") {
    const few =
      settings.over === undefined
        ? "is no number"
        : `has ${blind?.values ?? 0} values in ${formatDuration(settings.over)}, too few to judge`;
    return { status: "unknown", reason: `${formatLabels(blind?.labels ?? {})} ${few}${doubt}` };
  }
  if (!hasLimits(limits))
    return { status: "unknown", reason: `the value is ${shown} and no limit says what is good: add "fail:"` };
  if (settings.series !== "any" && settings.series !== "all") {
    const found = series.find((each) => each.value === value);
    return judgeByLimits(value, named(shown, found?.labels ?? {}, series.length) + doubt, limits);
  }
  return judgeEach(series, settings, limits, doubt);
}

function judgeEach(series: readonly Seen[], settings: Input, limits: CheckLimits, doubt: string): Judgement {
  for (const status of ["fail", "warn"] as const) {
    const limit = limits[status];
    if (limit === undefined) continue;
    const bad = series.filter(({ value }) => value !== null && exceeds(value, limit));
    const [first] = bad;
    if (first === undefined || (settings.series === "all" && bad.length < series.length)) continue;
    const worst = named(shownValue(first.value ?? 0, settings), first.labels, 2);
    return {
      status,
      reason: `${bad.length} of ${series.length} series, ${worst}, limit ${limit.text.trim()}${doubt}`,
    };
  }
  const texts = [limits.fail, limits.warn].flatMap((each) => (each === undefined ? [] : [each.text.trim()]));
  const within =
    settings.series === "any" ? `all ${series.length} series` : `not all ${series.length} series beyond`;
  return {
    status: "pass",
    reason: `${within}${settings.series === "any" ? " within" : ""} limit ${texts.join(" and ")}${doubt}`,
  };
}

function named(shown: string, labels: Labels, count: number): string {
  return count > 1 ? `${formatLabels(labels)} is ${shown}` : shown;
}

function inUnit(value: number, unit: Input["unit"]): number {
  return unit === "seconds" ? value * 1000 : unit === "ratio" ? value * 100 : value;
}

function shownValue(value: number, { unit, over, take }: Input): string {
  const plain =
    unit === "ratio"
      ? formatPercent(value)
      : unit === "number"
        ? String(Number(value.toPrecision(6)))
        : value < 0
          ? `-${formatDuration(-value)}`
          : formatDuration(value);
  return over === undefined ? plain : `${plain} (${take} over ${formatDuration(over)})`;
}
