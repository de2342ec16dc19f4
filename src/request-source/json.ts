import type { JsonMetrics, NamedVersion } from "../config/metrics-target.ts";
import { systemClock } from "../core/clock.ts";
import { fetchJson } from "../json-http/document.ts";
import { freshAge } from "./fresh-age.ts";
import { missing, onlyCounts } from "./missing.ts";
import { forVersion } from "./placeholder.ts";
import type { RequestSource } from "./request-source.ts";
import { SeriesCounts, type VersionSeries } from "./series-counts.ts";

/** Counts that an application, or something beside it, answers with as JSON. */
export function jsonSource(metrics: JsonMetrics): RequestSource {
  const counts = new SeriesCounts("json");

  async function versionSeries(version: NamedVersion, document: unknown): Promise<VersionSeries> {
    const { numberAt } = await import("../json-http/path.ts");
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
      throw onlyCounts(metrics.counted);
    },
    times: undefined,
  };
}

/** A name may stand in quotes of either kind. */
const quotedName = (text: string) => text.replace(/[\\'"]/g, "\\$&");

async function ageOf(
  { counted, maxAge }: JsonMetrics,
  version: NamedVersion,
  path: string,
  document: unknown,
): Promise<number> {
  const { valuesAt } = await import("../json-http/path.ts");
  const [value] = valuesAt(document, forVersion(path, version, quotedName));
  const time =
    typeof value === "number" ? value * 1000 : typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (!Number.isFinite(time)) {
    throw missing("E_METRICS_STALE", counted, `${path} finds no time`, {
      hint: 'let "at:" find seconds since 1970, or a date and time such as 2026-01-31T12:00:00Z',
    });
  }
  return freshAge(counted, maxAge, version.version, systemClock.now().getTime() - time);
}
