import type { MetricsTarget } from "../config/metrics-target.ts";
import { jsonSource } from "./json.ts";
import { logSource } from "./log.ts";
import { named } from "./missing.ts";
import { prometheusSource } from "./prometheus.ts";
import type { RequestSource } from "./request-source.ts";
import { sqlSource } from "./sql.ts";

/** What counts the requests of a route beside its balancer, or those of a flag. */
export function openMetricsSource(metrics: MetricsTarget): RequestSource {
  return named(sourceOf(metrics), metrics);
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
