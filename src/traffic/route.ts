import type { Environment, RouteTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import type { Watched } from "../rollout/watched.ts";
import { driftError } from "./drift.ts";
import { openDriver } from "./drivers/open-driver.ts";
import { openRequestSource } from "./sources/open-request-source.ts";
import type { TrafficDriver } from "./traffic-driver.ts";

export interface Route {
  readonly target: RouteTarget;
  readonly driver: TrafficDriver;
  /** Undefined where nothing counts the route's requests. */
  readonly requests: RequestSource | undefined;
}

/** A route that can be watched. */
export interface CountedRoute extends Route, Watched, AsyncDisposable {
  readonly requests: RequestSource;
}

export function openRoute(environment: Environment, name: string | undefined): Route {
  const target = environment.route(name);
  return { target, driver: openDriver(target), requests: openRequestSource(target) };
}

export function isCounted(route: Route): route is Route & { readonly requests: RequestSource } {
  return route.requests !== undefined;
}

/** @param what needs its requests: `a canary`. Throws `E_REQUEST_SOURCE` (usage) where nothing counts them. */
export function requireCounted(route: Route, what: string): CountedRoute {
  if (isCounted(route)) return counted(route);
  const { name, driver } = route.target;
  throw new UsageError(
    "E_REQUEST_SOURCE",
    `Nothing counts the requests of route ${name}, which ${what} needs: the driver ${driver} only sets weights`,
    { hint: 'name what counts them under "metrics:" of the route in .opsrc (docs/metrics.md)' },
  );
}

export function counted(route: Route & { readonly requests: RequestSource }): CountedRoute {
  const { target, driver, requests } = route;
  return {
    ...route,
    kind: "route",
    splits: driver.splits,
    promote: `ops traffic promote ${target.name}`,
    drift: (present, intended) => driftError(target.name, present, [intended]),
    states: (signal) => driver.states(signal),
    async read(signal) {
      const [states, counts] = await Promise.all([driver.states(signal), requests.read(signal)]);
      return states.map((state) => {
        const own = counts.find(({ version }) => version === state.version);
        if (own === undefined)
          throw new Error(`the request source does not know the version ${state.version}`);
        return { ...own, ...state };
      });
    },
    async [Symbol.asyncDispose]() {
      await requests.close?.();
    },
  };
}

export function requireVersion(target: RouteTarget, version: string): void {
  if (Object.hasOwn(target.versions, version)) return;
  throw new UsageError("E_VERSION", `The route ${target.name} has no version "${version}"`, {
    hint: suggestion(version, Object.keys(target.versions)),
  });
}
