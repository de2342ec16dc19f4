import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { LoadFigures } from "../load-engine/plan.ts";
import type { LoadResult } from "../measured-series/load-result.ts";
import { shownRate, shownTime } from "./verdict.ts";

const symbols = { pass: "✓", fail: "✗", unknown: "?" } as const;

type Shown = Pick<LoadResult, "load" | "target" | "users" | "verdict" | "thresholds"> &
  (Omit<LoadFigures, "intervals"> | { readonly figures: Omit<LoadFigures, "intervals"> });

/** What a load came to, and its thresholds one by one. */
export function renderResult(result: Shown): string {
  const figures = "figures" in result ? result.figures : result;
  const { requests, bad, failures, latency, throughput, measuredMs, steps } = figures;
  const time = (ms: number | null) => (ms === null ? "-" : shownTime(ms));
  const kinds = [
    [failures.status, "unexpected status"],
    [failures.timeout, "given up"],
    [failures.connection, "no connection"],
  ] as const;
  const met = kinds.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const share = requests === 0 ? "no requests" : `${formatPercent((100 * bad) / requests)} bad`;
  const facts = [
    `load ${result.load} on ${result.target}: ${result.users} users, measured for ${formatDuration(measuredMs)} after the ramp-up`,
    `  ${requests.toLocaleString("en-GB")} requests, ${shownRate(throughput)} good ones, ${share}${met.length === 0 ? "" : ` (${met.join(", ")})`}`,
    `  p50 ${time(latency.p50)}, p95 ${time(latency.p95)}, p99 ${time(latency.p99)}, longest ${time(latency.max)}`,
  ];
  const table =
    steps.length < 2
      ? []
      : columns(
          steps.map((each) => [
            `  ${each.name}`,
            `${each.requests} requests`,
            `${each.bad} bad`,
            `p50 ${time(each.p50)}`,
            `p95 ${time(each.p95)}`,
          ]),
          new Set([1, 2]),
        );
  const thresholds = result.thresholds.map(
    ({ status, threshold, reason }) => `${symbols[status]} ${threshold}: ${reason}`,
  );
  return [...facts, ...table, ...thresholds].join("\n");
}
