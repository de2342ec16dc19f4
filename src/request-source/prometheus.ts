import type { PrometheusMetrics } from "../config/metrics-target.ts";
import { systemClock } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { bucketsOf, lastBound, spreadTimes } from "../prometheus/buckets.ts";
import { queryVector } from "../prometheus/client.ts";
import { formatLabels, notFinite, type Sample } from "../prometheus/outcome.ts";
import { missing } from "./missing.ts";
import { forVersion } from "./placeholder.ts";
import type { AnsweredRequest, RequestSource, VersionCounts } from "./request-source.ts";
import { SeriesCounts, type VersionSeries } from "./series-counts.ts";

/** Labels that ops adds to the series of one look, to know them again. */
const [versionLabel, fieldLabel] = ["ops_version", "ops_field"];
type Field = "requests" | "bad" | "age" | "buckets";

/** Milliseconds between two looks at the buckets. */
const bucketsEvery = 1000;

/**
 * Counters that Prometheus has scraped. All of a look is one query, so that requests and bad ones are of the same moment.
 */
export function prometheusSource(metrics: PrometheusMetrics): RequestSource {
  const counts = new SeriesCounts("prometheus");
  const ask = (fields: readonly Field[], signal: AbortSignal | undefined) => answer(metrics, fields, signal);

  async function read(signal?: AbortSignal): Promise<VersionCounts[]> {
    const samples = await ask(["requests", "bad", "age"], signal);
    const look = metrics.versions.map(({ version }) => versionSeries(metrics, version, samples));
    if (look.every(({ requests }) => requests.size === 0)) {
      throw missing(
        "E_METRICS_EMPTY",
        metrics.counted,
        `Prometheus has no series for "${metrics.requests}"`,
        {
          hint: "try the expression on Prometheus's own page; see that the targets are up",
        },
      );
    }
    return counts.add(look);
  }

  async function buckets(signal?: AbortSignal): Promise<readonly BucketSeries[]> {
    const samples = await ask(["buckets"], signal);
    return samples.map(({ labels, value }) => {
      const { le } = labels;
      if (le === undefined) throw noBuckets(metrics, `${formatLabels(shown(labels))} has no label "le"`);
      return { version: labels[versionLabel] ?? "", le, series: formatLabels(labels), value };
    });
  }

  async function* times(signal: AbortSignal): AsyncGenerator<AnsweredRequest, void, undefined> {
    let known: Map<string, number> | undefined;
    while (!signal.aborted) {
      try {
        const now = await buckets(signal);
        const earlier = known;
        const growth =
          earlier === undefined ? [] : now.map((each) => ({ ...each, value: grown(each, earlier) }));
        for (const { version } of metrics.versions) {
          yield* spreadTimes(bucketsOf(byBound(growth, version))).map((each) => ({ version, ...each }));
        }
        known = new Map([...(earlier ?? []), ...now.map(({ series, value }) => [series, value] as const)]);
      } catch (error) {
        // The counters are asked for beside them, and say why nothing comes.
        if (signal.aborted || !(error instanceof OpsError)) throw error;
      }
      await systemClock.sleep(bucketsEvery, signal).catch(() => undefined);
    }
  }

  return {
    apart: { maxAge: metrics.maxAge },
    read,
    async requireTimes(limit, signal) {
      if (metrics.buckets === undefined) {
        throw new UsageError(
          "E_REQUEST_TIMES",
          `The metrics of ${metrics.counted} name no histogram to take a p95 from`,
          {
            hint: 'add "buckets: http_request_duration_seconds_bucket{…}" to them (docs/metrics.md), or set no p95 limit',
          },
        );
      }
      const all = await buckets(signal);
      if (all.length === 0) throw noBuckets(metrics, "Prometheus has no series for it");
      const versions = new Set(all.map(({ version }) => version));
      const last = Math.min(...[...versions].map((each) => lastBound(bucketsOf(byBound(all, each))) ?? 0));
      if (last < limit) {
        throw noBuckets(
          metrics,
          `its buckets end at ${formatDuration(last)}, and the p95 limit of ${formatDuration(limit)} lies beyond`,
        );
      }
    },
    times: metrics.buckets === undefined ? undefined : times,
  };
}

/** The series of the fields of every version, each marked with both. Throws what makes the figures missing. */
async function answer(
  metrics: PrometheusMetrics,
  fields: readonly Field[],
  signal: AbortSignal | undefined,
): Promise<readonly Sample[]> {
  const parts = metrics.versions.flatMap((version) =>
    fields.flatMap((field) =>
      expressionsOf(metrics, field).map((text, index) => ({
        version,
        field,
        index,
        text: forVersion(text, version, promText),
      })),
    ),
  );
  const whole = parts.map(({ version: { version }, field, index, text }) => {
    const inner = field === "age" ? `time() - timestamp(${text}\n)` : text;
    return marked(marked(`(${inner}\n)`, versionLabel, version), fieldLabel, fieldName(field, index));
  });
  const outcome = await queryVector(metrics.server, whole.join("\nor\n"), { signal });
  if (outcome.kind === "error") {
    if (outcome.error.code !== "E_PROMETHEUS_QUERY") throw outcome.error;
    // Which of them is wrong shows when they are asked one by one.
    for (const { text } of parts) {
      const alone = await queryVector(metrics.server, text, { signal });
      if (alone.kind === "error") throw alone.error;
    }
    throw outcome.error;
  }
  if (outcome.warnings.length > 0) {
    throw missing("E_METRICS_PARTIAL", metrics.counted, `Prometheus warns: ${outcome.warnings.join("; ")}`, {
      hint: "figures of which a part may be missing are not judged",
    });
  }
  return outcome.kind === "empty" ? [] : outcome.samples;
}

function expressionsOf(metrics: PrometheusMetrics, field: Field): readonly string[] {
  if (field === "bad") return metrics.bad;
  if (field === "age") return [metrics.requests, ...metrics.bad];
  if (field === "buckets") return metrics.buckets === undefined ? [] : [metrics.buckets];
  return [metrics.requests];
}

/** Several expressions of one field are told apart, so that one that finds nothing is noticed. */
const fieldName = (field: Field, index: number) => `${field} ${index}`;

const marked = (vector: string, label: string, value: string) =>
  `label_replace(${vector}, "${label}", "${promText(value)}", "", "")`;

/** Inside a string in double quotes. */
const promText = (text: string) => text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");

function versionSeries(
  metrics: PrometheusMetrics,
  version: string,
  samples: readonly Sample[],
): VersionSeries {
  const own = samples.filter(({ labels }) => labels[versionLabel] === version);
  const of = (field: Field) => own.filter(({ labels }) => labels[fieldLabel]?.split(" ")[0] === field);
  const unreal = own.find(({ value }) => !Number.isFinite(value));
  if (unreal !== undefined) {
    const what = `${formatLabels(shown(unreal.labels))} of ${version} is ${notFinite(unreal.value)}`;
    throw missing("E_METRICS_NAN", metrics.counted, what, { hint: "name counters, not quotients of them" });
  }
  const requests = of("requests");
  const explicit = of("bad");
  if (requests.length > 0 && metrics.bad.length > 0) {
    const found = new Set(explicit.map(({ labels }) => labels[fieldLabel]));
    const empty = metrics.bad.findIndex((_, index) => !found.has(fieldName("bad", index)));
    if (empty !== -1) {
      const text = metrics.bad[empty];
      throw missing(
        "E_METRICS_EMPTY",
        metrics.counted,
        `Prometheus has no series of ${version} for "${text}"`,
        {
          hint: `no series is not zero: write "status-label:" instead, or ${text} or 0 * (${metrics.requests})`,
        },
      );
    }
  }
  return {
    version,
    requests: seriesOf(requests),
    bad: seriesOf([...requests.filter((each) => isBad(metrics, each)), ...explicit]),
    age: Math.max(...agesOf(metrics, version, of("age"))),
  };
}

const seriesOf = (samples: readonly Sample[]) =>
  new Map(samples.map(({ labels, value }) => [formatLabels(labels), value]));

function isBad({ counted, statusLabel, requests }: PrometheusMetrics, { labels }: Sample): boolean {
  if (statusLabel === undefined) return false;
  const status = labels[statusLabel];
  if (status !== undefined) return status.startsWith("5");
  throw new UsageError(
    "E_METRICS_LABEL",
    `The series ${formatLabels(shown(labels))} of ${counted} has no label "${statusLabel}"`,
    {
      hint: `name the label with the status under "status-label:", and do not sum it away in "${requests}"`,
    },
  );
}

/** Of each expression: errors that nobody counts any more are no proof beside requests that somebody counts. */
function agesOf(metrics: PrometheusMetrics, version: string, samples: readonly Sample[]): number[] {
  return expressionsOf(metrics, "age").map((_, index) => {
    const own = samples.filter(({ labels }) => labels[fieldLabel] === fieldName("age", index));
    return ageOf(metrics, version, own);
  });
}

/** Of series that are scraped, the oldest: one that is not any more has no say. Milliseconds. */
function ageOf({ counted, maxAge }: PrometheusMetrics, version: string, samples: readonly Sample[]): number {
  const ages = samples.map(({ value }) => Math.max(0, value * 1000));
  if (ages.length === 0) return 0;
  const fresh = ages.filter((age) => age <= maxAge);
  if (fresh.length > 0) return Math.max(...fresh);
  const newest = formatDuration(Math.min(...ages));
  throw missing(
    "E_METRICS_STALE",
    counted,
    `the newest figures of ${version} are ${newest} old (limit ${formatDuration(maxAge)})`,
    {
      hint: 'see that Prometheus still scrapes its targets, or set "max-age:"',
    },
  );
}

/** One counter of a histogram, cumulative over its bounds. */
interface BucketSeries {
  readonly version: string;
  readonly le: string;
  readonly series: string;
  readonly value: number;
}

/** A counter that fell was started anew: nothing is counted until the next look. */
function grown({ series, value }: BucketSeries, known: ReadonlyMap<string, number>): number {
  return Math.max(0, value - (known.get(series) ?? 0));
}

/** The counts of one version's histograms, added up. */
function byBound(all: readonly BucketSeries[], version: string): Map<string, number> {
  const bounds = new Map<string, number>();
  for (const each of all) {
    if (each.version === version) bounds.set(each.le, (bounds.get(each.le) ?? 0) + each.value);
  }
  return bounds;
}

function noBuckets({ counted, buckets }: PrometheusMetrics, why: string): UsageError {
  return new UsageError("E_REQUEST_TIMES", `The histogram "${buckets}" of ${counted} tells no p95: ${why}`, {
    hint: "name the _bucket counters of a classic histogram in seconds, with bounds on both sides of the limit",
  });
}

function shown(labels: Sample["labels"]): Sample["labels"] {
  return Object.fromEntries(
    Object.entries(labels).filter(([key]) => key !== versionLabel && key !== fieldLabel),
  );
}
