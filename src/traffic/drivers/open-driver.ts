import type { RouteTarget } from "../../config/environment.ts";
import { UsageError } from "../../core/errors.ts";
import type { Weights } from "../../rollout/shares.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { albDriver } from "./alb.ts";
import { execDriver } from "./exec.ts";
import { gatewayDriver } from "./gateway-api.ts";
import { haproxyDriver } from "./haproxy.ts";
import { haproxyBuckets } from "./haproxy-buckets.ts";
import { nginxDriver } from "./nginx.ts";

/** What sets the weights of a route. */
export function openDriver(target: RouteTarget): TrafficDriver {
  const driver = driverOf(target);
  return {
    ...driver,
    async setWeights(weights, signal, expected) {
      refuseUnknown(target, weights);
      await driver.setWeights(weights, signal, expected);
    },
  };
}

/**
 * Weights that were written down may be older than the route in .opsrc. Without the version that is to get the traffic,
 * all others could be left with none.
 */
function refuseUnknown({ name, versions }: RouteTarget, weights: Weights): void {
  const unknown = Object.keys(weights).find(
    (version) => (weights[version] ?? 0) > 0 && !Object.hasOwn(versions, version),
  );
  if (unknown === undefined) return;
  throw new UsageError(
    "E_VERSION",
    `The route ${name} has no version "${unknown}" any more, which is to get traffic`,
    {
      hint: `nothing was changed; put it back under "versions:" of the route in .opsrc, or set the weights yourself: ops traffic shift`,
      details: { weights, versions: Object.keys(versions) },
    },
  );
}

function driverOf(target: RouteTarget): TrafficDriver {
  switch (target.driver) {
    case "haproxy":
      return target.buckets === undefined ? haproxyDriver(target) : haproxyBuckets(target, target.buckets);
    case "alb":
      return albDriver(target);
    case "gateway-api":
      return gatewayDriver(target);
    case "nginx":
      return nginxDriver(target);
    case "exec":
      return execDriver(target);
  }
}
