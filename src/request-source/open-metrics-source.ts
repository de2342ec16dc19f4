import type { MetricsTarget } from "../config/metrics-target.ts";
import { jsonSource } from "./json.ts";
import { logSource } from "./log.ts";
import { named } from "./missing.ts";
import { prometheusSource } from "./prometheus.ts";
import type { RequestSource } from "./request-source.ts";
import { sqlSource } from "./sql.ts";

/** What counts a route's requests beside its balancer. */
export function openMetricsSource(metrics: MetricsTarget): RequestSource {
  return named(sourceOf(metrics), metrics.route);
}

function sourceOf(metrics: MetricsTarget): RequestSource {
  switch (metrics.source) {
    case "prometheus":
      return prometheusSource(metrics);
    case "json":
      return jsonSource(metrics);
    case "sql":
      return sqlSource(metrics);
    case "log":
      return logSource(metrics);
  }
}
