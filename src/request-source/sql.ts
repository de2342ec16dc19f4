import type { SqlMetrics } from "../config/metrics-target.ts";
import { systemClock } from "../core/clock.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { readOnlyRows } from "../postgres/read-only-query.ts";
import { freshAge } from "./fresh-age.ts";
import { missing, onlyCounts } from "./missing.ts";
import type { RequestSource, VersionCounts } from "./request-source.ts";
import { SeriesCounts, type VersionSeries } from "./series-counts.ts";

/** Counts that a query over the application's own tables gives. */
export function sqlSource(metrics: SqlMetrics): RequestSource {
  const counts = new SeriesCounts("sql");
  let last: { readonly at: number; readonly counts: readonly VersionCounts[] } | undefined;

  return {
    apart: { maxAge: metrics.maxAge },
    async read(signal) {
      const now = systemClock.elapsed();
      if (last !== undefined && now - last.at < metrics.every) {
        const older = now - last.at;
        return last.counts.map((each) => ({ ...each, age: (each.age ?? 0) + older }));
      }
      const { database, query: text, timeout } = metrics;
      const found = await readOnlyRows(database, { text, timeout, applicationName: "ops canary", signal });
      const rows = found.rows.map((row) =>
        Object.fromEntries(found.fields.map(({ name }, index) => [name, row[index]])),
      );
      last = {
        at: now,
        counts: counts.add(
          look(
            metrics,
            found.fields.map(({ name }) => name),
            rows,
          ),
        ),
      };
      return last.counts;
    },
    async requireTimes() {
      throw onlyCounts(metrics.counted);
    },
    times: undefined,
  };
}

type Row = Readonly<Record<string, unknown>>;

function look(metrics: SqlMetrics, columns: readonly string[], rows: readonly Row[]): VersionSeries[] {
  const absent = ["version", "requests", "bad"].filter((each) => !columns.includes(each));
  if (absent.length > 0) {
    throw new UsageError(
      "E_METRICS_COLUMNS",
      `The query for ${metrics.counted} has no column ${absent.join(", ")}`,
      {
        hint: `it has ${columns.join(", ")}; name them in the query: count(*) AS requests`,
      },
    );
  }
  if (rows.length === 0) {
    throw missing("E_METRICS_EMPTY", metrics.counted, "the query returned no rows", {
      hint: "see that it counts since a fixed time, and not over a window that can be empty",
    });
  }
  return metrics.versions.map(({ version, name }) => {
    const own = rows.filter((row) => row.version === name || row.version === version);
    if (own.length > 1) {
      throw new OpsError(
        "E_METRICS_COLUMNS",
        `The query for ${metrics.counted} has ${own.length} rows for ${version}`,
        {
          hint: "group by the version",
          retryable: false,
        },
      );
    }
    const [row] = own;
    // A version without requests yet has no row; that is no verdict, for it has no requests either.
    if (row === undefined) return { version, requests: new Map(), bad: new Map(), age: 0 };
    return {
      version,
      requests: new Map([["", numberOf(metrics, row, "requests")]]),
      bad: new Map([["", numberOf(metrics, row, "bad")]]),
      age: ageOf(metrics, version, row.at),
    };
  });
}

/** bigint and numeric arrive as text. */
function numberOf({ counted }: SqlMetrics, row: Row, column: "requests" | "bad"): number {
  const value = row[column];
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  const shown = value === null ? "NULL" : String(value).slice(0, 60);
  throw missing(
    "E_METRICS_NAN",
    counted,
    `"${column}" of ${String(row.version)} is ${shown}, which is no number`,
    {
      hint: "write coalesce where a sum over no rows is meant to be 0",
    },
  );
}

function ageOf({ counted, maxAge }: SqlMetrics, version: string, at: unknown): number {
  if (at === undefined || at === null) return 0;
  if (!(at instanceof Date)) {
    throw missing(
      "E_METRICS_STALE",
      counted,
      `"at" of ${version} is ${String(at).slice(0, 60)}, which is no time`,
      {
        hint: "let it be a timestamptz: max(created_at) AS at",
      },
    );
  }
  return freshAge(counted, maxAge, version, systemClock.now().getTime() - at.getTime());
}
