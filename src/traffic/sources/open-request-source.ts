import type { RouteTarget } from "../../config/environment.ts";
import type { RequestSource } from "../request-source.ts";
import { haproxySource } from "./haproxy.ts";

/** What counts the requests of a route; undefined where nothing does. */
export function openRequestSource(target: RouteTarget): RequestSource | undefined {
  switch (target.driver) {
    case "haproxy":
      return haproxySource(target);
  }
}
