import { resolve } from "node:path";
import type { HaproxyRouteSettings, RouteSettings } from "./route-schema.ts";

interface AnyRouteTarget {
  readonly name: string;
  /** Version → what the balancer calls the place that runs it. */
  readonly versions: Readonly<Record<string, string>>;
}

/** A backend of HAProxy; its versions are servers. */
export interface HaproxyRouteTarget extends AnyRouteTarget {
  readonly driver: "haproxy";
  /** A socket's absolute path, or `host:port`. */
  readonly socket: string;
  readonly backend: string;
  readonly requestRing: string | undefined;
}

/** A weighted traffic split. */
export type RouteTarget = HaproxyRouteTarget;

/** @param directory of the configuration file: relative paths start there */
export function routeTarget(name: string, settings: RouteSettings, directory: string): RouteTarget {
  switch (settings.driver) {
    case "haproxy":
      return haproxyRoute(name, settings, directory);
  }
}

function haproxyRoute(name: string, settings: HaproxyRouteSettings, directory: string): HaproxyRouteTarget {
  const address = /^[\w.-]+:\d+$/.test(settings.socket);
  return {
    name,
    driver: "haproxy",
    socket: address ? settings.socket : resolve(directory, settings.socket),
    backend: settings.backend,
    versions: settings.versions,
    requestRing: settings["request-ring"],
  };
}

/** Where a route is, in one line: another one is another balancer, or other places behind it. */
export function placeOfRoute(target: RouteTarget): string {
  const versions = Object.entries(target.versions).flat().join(" ");
  switch (target.driver) {
    case "haproxy":
      return `${target.socket} ${target.backend} ${versions}`;
  }
}
