import type { RouteTarget } from "../../config/environment.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { haproxyDriver } from "./haproxy.ts";

/** What sets the weights of a route. */
export function openDriver(target: RouteTarget): TrafficDriver {
  switch (target.driver) {
    case "haproxy":
      return haproxyDriver(target);
  }
}
