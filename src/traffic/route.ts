import type { Environment, RouteTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { haproxyDriver } from "./drivers/haproxy.ts";
import type { TrafficDriver } from "./traffic-driver.ts";

export interface Route {
  readonly target: RouteTarget;
  readonly driver: TrafficDriver;
}

export function openRoute(environment: Environment, name: string | undefined): Route {
  const target = environment.route(name);
  return { target, driver: haproxyDriver(target) };
}

export function requireVersion(target: RouteTarget, version: string): void {
  if (Object.hasOwn(target.versions, version)) return;
  throw new UsageError("E_VERSION", `The route ${target.name} has no version "${version}"`, {
    hint: suggestion(version, Object.keys(target.versions)),
  });
}
