import type { HaproxyRouteTarget, RouteTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { RuntimeMap } from "../haproxy/runtime-map.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import { haproxySource } from "./sources/haproxy.ts";

/** Users who get a version whatever its share is. */
export interface Testers {
  /** Tester → version; undefined: a server of no version. */
  list(signal?: AbortSignal): Promise<ReadonlyMap<string, string | undefined>>;
  /** Throws (usage) where testers could not be set, or would be lost in a reload of the balancer. */
  requireSettable(signal?: AbortSignal): Promise<void>;
  add(testers: readonly string[], version: string, signal?: AbortSignal): Promise<void>;
  remove(testers: readonly string[], signal?: AbortSignal): Promise<void>;
  /** The requests of testers, which are not among those of the route. */
  readonly requests: RequestSource;
}

/** Throws `E_TESTERS` (usage) where the route's balancer is not configured for them. */
export function requireTesters(target: RouteTarget): Testers {
  const testers = openTesters(target);
  if (testers !== undefined) return testers;
  throw new UsageError("E_TESTERS", `The route ${target.name} has no place for testers`, {
    hint: 'configure "testers:" of the route in .opsrc, and in haproxy.cfg (docs/canary.md)',
  });
}

/** Undefined where there are none: only HAProxy has a map that is looked up by a header or a cookie. */
export function openTesters(target: RouteTarget): Testers | undefined {
  if (target.driver !== "haproxy" || target.testers === undefined) return undefined;
  return haproxyTesters(target, target.testers);
}

/** What a header or a cookie says is looked up in a map; who is in it goes to a backend of its own. */
function haproxyTesters(
  route: HaproxyRouteTarget,
  { map: path, backend }: NonNullable<HaproxyRouteTarget["testers"]>,
): Testers {
  const map = new RuntimeMap(route.socket, path);
  const versionOf = new Map(Object.entries(route.versions).map(([version, server]) => [server, version]));

  return {
    async list(signal) {
      const entries = await map.read(signal);
      return new Map([...entries].map(([tester, server]) => [tester, versionOf.get(server)]));
    },
    requireSettable: (signal) => map.requireKept(signal),
    async add(testers, version, signal) {
      const server = route.versions[version] ?? "";
      for (const tester of testers) await map.put(tester, server, signal);
    },
    remove: (testers, signal) => map.remove(testers, signal),
    requests: haproxySource({ ...route, backend, requestRing: undefined }),
  };
}

/** Whoever gives a version's traffic back takes its testers away too: what is bad is bad for everybody. Returns them. */
export async function dismissTesters(
  target: RouteTarget,
  version: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const testers = openTesters(target);
  if (testers === undefined) return [];
  const own = [...(await testers.list(signal))].flatMap(([tester, has]) => (has === version ? [tester] : []));
  // Also where there are none: a crash may have kept that from the balancer's own file.
  await testers.remove(own, signal);
  return own;
}
