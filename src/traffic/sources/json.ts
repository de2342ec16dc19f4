import type { JsonMetrics, NamedVersion } from "../../config/metrics-target.ts";
import { systemClock } from "../../core/clock.ts";
import { formatDuration } from "../../core/duration.ts";
import { UsageError } from "../../core/errors.ts";
import { fetchJson } from "../../json-http/document.ts";
import type { RequestSource } from "../request-source.ts";
import { missing } from "./missing.ts";
import { forVersion } from "./placeholder.ts";
import { SeriesCounts, type VersionSeries } from "./series-counts.ts";

/** Counts that an application, or something beside it, answers with as JSON. */
export function jsonSource(metrics: JsonMetrics): RequestSource {
  const counts = new SeriesCounts("json");

  async function versionSeries(version: NamedVersion, document: unknown): Promise<VersionSeries> {
    const { numberAt } = await import("../../json-http/path.ts");
    const at = (path: string) => numberAt(document, forVersion(path, version, quotedName));
    const [requests, bad] = [at(metrics.requests), at(metrics.bad)];
    return {
      version: version.version,
      requests: new Map([["", requests]]),
      bad: new Map([["", bad]]),
      age: metrics.at === undefined ? 0 : await ageOf(metrics, version, metrics.at, document),
    };
  }

  return {
    apart: { maxAge: metrics.maxAge },
    async read(signal) {
      const base = await metrics.endpoint.url.reveal();
      const urls = metrics.versions.map((version) => forVersion(base, version, encodeURIComponent));
      // One document that has all versions is asked for once.
      const asked = new Map(
        [...new Set(urls)].map((url) => [url, fetchJson({ ...metrics.endpoint, url, signal })] as const),
      );
      const documents = await Promise.all(urls.map((url) => asked.get(url)));
      return counts.add(
        await Promise.all(metrics.versions.map((version, index) => versionSeries(version, documents[index]))),
      );
    },
    async requireTimes() {
      throw new UsageError(
        "E_REQUEST_TIMES",
        `The metrics of route ${metrics.route} are counts, which tell no p95`,
        {
          hint: "take them from Prometheus or from a log (docs/metrics.md), or set no p95 limit",
        },
      );
    },
    times: undefined,
  };
}

/** A name may stand in quotes of either kind. */
const quotedName = (text: string) => text.replace(/[\\'"]/g, "\\$&");

async function ageOf(
  { route, maxAge }: JsonMetrics,
  version: NamedVersion,
  path: string,
  document: unknown,
): Promise<number> {
  const { valuesAt } = await import("../../json-http/path.ts");
  const [value] = valuesAt(document, forVersion(path, version, quotedName));
  const time =
    typeof value === "number" ? value * 1000 : typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (!Number.isFinite(time)) {
    throw missing("E_METRICS_STALE", route, `${path} finds no time`, {
      hint: 'let "at:" find seconds since 1970, or a date and time such as 2026-01-31T12:00:00Z',
    });
  }
  return freshAge(route, maxAge, version.version, systemClock.now().getTime() - time);
}

/** Throws `E_METRICS_STALE` where figures are too old, or so far ahead that they would never become it. */
export function freshAge(route: string, maxAge: number, version: string, age: number): number {
  if (age < -maxAge) {
    throw missing(
      "E_METRICS_STALE",
      route,
      `the time of the figures of ${version} lies ahead of this clock`,
      {
        hint: "let it be seconds since 1970 (not milliseconds) or a time with its zone, and compare the machines' clocks",
      },
    );
  }
  if (age <= maxAge) return Math.max(0, age);
  throw missing(
    "E_METRICS_STALE",
    route,
    `the figures of ${version} are ${formatDuration(age)} old (limit ${formatDuration(maxAge)})`,
    { hint: 'see why they are not counted any more, or set "max-age:"' },
  );
}
