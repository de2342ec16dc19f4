import type { RouteTarget } from "../../config/environment.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { albDriver } from "./alb.ts";
import { execDriver } from "./exec.ts";
import { gatewayDriver } from "./gateway-api.ts";
import { haproxyDriver } from "./haproxy.ts";
import { haproxyBuckets } from "./haproxy-buckets.ts";
import { nginxDriver } from "./nginx.ts";

/** What sets the weights of a route. */
export function openDriver(target: RouteTarget): TrafficDriver {
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
