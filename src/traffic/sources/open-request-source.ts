import type { RouteTarget } from "../../config/environment.ts";
import type { RequestSource } from "../request-source.ts";
import { haproxySource } from "./haproxy.ts";

/** What counts the requests of a route; undefined where nothing does: of the balancers only HAProxy counts by itself. */
export function openRequestSource(target: RouteTarget): RequestSource | undefined {
  return target.driver === "haproxy" ? haproxySource(target) : undefined;
}
