import type { RouteTarget } from "../../config/environment.ts";
import { openMetricsSource } from "../../request-source/open-metrics-source.ts";
import type { RequestSource } from "../../request-source/request-source.ts";
import { haproxySource } from "./haproxy.ts";
import { withBalancer } from "./with-balancer.ts";

/** What counts the requests of a route: what its `metrics:` name, or else its balancer. Undefined where nothing does. */
export function openRequestSource(target: RouteTarget): RequestSource | undefined {
  // Of the balancers only HAProxy counts by itself.
  const balancer = target.driver === "haproxy" ? haproxySource(target) : undefined;
  if (target.metrics === undefined) return balancer;
  const metrics = openMetricsSource(target.metrics);
  return balancer === undefined ? metrics : withBalancer(metrics, balancer);
}
