import { resolve } from "node:path";
import { parseDuration } from "../core/duration.ts";
import type { NginxSplit } from "../nginx/route-file.ts";
import type { DatabaseTarget } from "./environment.ts";
import { type MetricsTarget, metricsTarget } from "./metrics-target.ts";
import { placeOfSocket } from "./pool-target.ts";
import type {
  AlbRouteSettings,
  ExecRouteSettings,
  GatewayRouteSettings,
  HaproxyRouteSettings,
  NginxRouteSettings,
  RouteSettings,
} from "./route-schema.ts";

interface AnyRouteTarget {
  readonly name: string;
  /** Version → what the balancer calls the place that runs it. */
  readonly versions: Readonly<Record<string, string>>;
  /** What counts its requests; undefined: the balancer, where it can. */
  readonly metrics: MetricsTarget | undefined;
}

/** A backend of HAProxy; its versions are servers. */
export interface HaproxyRouteTarget extends AnyRouteTarget {
  readonly driver: "haproxy";
  /** A socket's absolute path, or `host:port`. */
  readonly socket: string;
  readonly backend: string;
  readonly requestRing: string | undefined;
  /** Absolute path; undefined: a reload brings back the weights of haproxy.cfg. */
  readonly stateFile: string | undefined;
  /** Map of bucket → server, and how many buckets there are; undefined: the split is by weights. */
  readonly buckets: { readonly map: string; readonly count: number } | undefined;
  /** Map of tester → server, and the backend that testers are sent to. */
  readonly testers: { readonly map: string; readonly backend: string } | undefined;
}

/** A forward action of an Application Load Balancer; its versions are target groups, by name or ARN. */
export interface AlbRouteTarget extends AnyRouteTarget {
  readonly driver: "alb";
  readonly place: { readonly kind: "rule" | "listener"; readonly arn: string };
  readonly region: string | undefined;
  readonly profile: string | undefined;
  readonly endpoint: string | undefined;
}

/** A rule of an HTTPRoute; its versions are Services. */
export interface GatewayRouteTarget extends AnyRouteTarget {
  readonly driver: "gateway-api";
  readonly httpRoute: string;
  readonly namespace: string | undefined;
  readonly rule: string | number | undefined;
  /** Absolute. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Milliseconds. */
  readonly acceptWithin: number;
}

/** A file that nginx includes; its versions are addresses, or values of a variable. */
export interface NginxRouteTarget extends AnyRouteTarget {
  readonly driver: "nginx";
  /** Absolute path. */
  readonly file: string;
  /** `host:port` */
  readonly status: string;
  readonly split: NginxSplit;
  readonly test: readonly string[];
  readonly reload: readonly string[];
  /** Milliseconds that a reload may take to show. */
  readonly loadWithin: number;
  /** Absolute path of the folder that both run in. */
  readonly directory: string;
}

/** A script of the team's own; its versions are what the script calls them. */
export interface ExecRouteTarget extends AnyRouteTarget {
  readonly driver: "exec";
  readonly get: readonly string[];
  readonly set: readonly string[];
  /** Absolute path of the folder that both run in. */
  readonly directory: string;
  readonly variables: readonly string[];
  /** Milliseconds */
  readonly timeout: number;
  readonly scale: { readonly maximum: number; readonly total?: number };
}

/** A weighted traffic split. */
export type RouteTarget =
  | HaproxyRouteTarget
  | NginxRouteTarget
  | ExecRouteTarget
  | AlbRouteTarget
  | GatewayRouteTarget;

/**
 * @param directory of the configuration file: relative paths start there
 * @param database looks one of the environment up
 */
export function routeTarget(
  name: string,
  settings: RouteSettings,
  directory: string,
  database: (name: string | undefined) => DatabaseTarget,
): RouteTarget {
  const bare = bareRoute(name, settings, directory);
  if (settings.metrics === undefined) return { ...bare, metrics: undefined };
  const backend = settings.driver === "haproxy" ? settings.backend : undefined;
  const { versions } = settings;
  const setting = `routes: ${name}:`;
  const place = { kind: "route" as const, name, setting, versions, backend, directory, database };
  return { ...bare, metrics: metricsTarget(settings.metrics, place) };
}

/** A route without what counts its requests. */
type Bare<T extends RouteTarget> = T extends unknown ? Omit<T, "metrics"> : never;

function bareRoute(name: string, settings: RouteSettings, directory: string): Bare<RouteTarget> {
  switch (settings.driver) {
    case "haproxy":
      return haproxyRoute(name, settings, directory);
    case "alb":
      return albRoute(name, settings);
    case "gateway-api":
      return gatewayRoute(name, settings, directory);
    case "nginx":
      return nginxRoute(name, settings, directory);
    case "exec":
      return execRoute(name, settings, directory);
  }
}

function haproxyRoute(
  name: string,
  settings: HaproxyRouteSettings,
  directory: string,
): Bare<HaproxyRouteTarget> {
  return {
    name,
    driver: "haproxy",
    socket: placeOfSocket(settings.socket, directory),
    backend: settings.backend,
    versions: settings.versions,
    requestRing: settings["request-ring"],
    stateFile: settings["state-file"] === undefined ? undefined : resolve(directory, settings["state-file"]),
    buckets: settings.buckets,
    testers: settings.testers,
  };
}

function albRoute(name: string, settings: AlbRouteSettings): Bare<AlbRouteTarget> {
  const { listener, "listener-rule": rule, versions, region, profile, endpoint } = settings;
  return {
    name,
    driver: "alb",
    place: listener === undefined ? { kind: "rule", arn: rule ?? "" } : { kind: "listener", arn: listener },
    versions,
    region,
    profile,
    endpoint,
  };
}

function gatewayRoute(
  name: string,
  settings: GatewayRouteSettings,
  directory: string,
): Bare<GatewayRouteTarget> {
  const { namespace, rule, versions, kubeconfig, context } = settings;
  return {
    name,
    driver: "gateway-api",
    httpRoute: settings["http-route"],
    namespace,
    rule,
    versions,
    kubeconfig: kubeconfig === undefined ? undefined : resolve(directory, kubeconfig),
    context,
    acceptWithin: parseDuration(settings["accept-within"]),
  };
}

function nginxRoute(name: string, settings: NginxRouteSettings, directory: string): Bare<NginxRouteTarget> {
  const { file, status, upstream, variable = "", key = "", versions, test, reload } = settings;
  const [parameters, lines] = [settings["server-parameters"] ?? "", settings["upstream-lines"] ?? []];
  return {
    name,
    driver: "nginx",
    file: resolve(directory, file),
    status,
    split:
      upstream === undefined
        ? { by: "clients", variable, key }
        : { by: "upstream", name: upstream, parameters, lines },
    versions,
    test,
    reload,
    loadWithin: parseDuration(settings["load-within"]),
    directory,
  };
}

function execRoute(name: string, settings: ExecRouteSettings, directory: string): Bare<ExecRouteTarget> {
  const { get, set, versions, variables, timeout } = settings;
  const maximum = settings["maximum-weight"];
  return {
    name,
    driver: "exec",
    get,
    set,
    directory,
    versions,
    variables,
    timeout: parseDuration(timeout),
    scale: maximum === undefined ? { maximum: 100, total: 100 } : { maximum },
  };
}

/**
 * Where a route is, in one line: another one is another balancer, or other places behind it. Of a cluster that is its
 * server, whichever context is the current one; `unknown` where the kubeconfig cannot be read.
 */
export async function placeOfRoute(target: RouteTarget): Promise<string> {
  const versions = Object.entries(target.versions).flat().join(" ");
  switch (target.driver) {
    case "haproxy":
      return [target.socket, target.backend, versions, ...(target.buckets ? [target.buckets.map] : [])].join(
        " ",
      );
    case "alb":
      return `${target.place.arn} ${versions}`;
    case "gateway-api": {
      const { clusterAccess } = await import("../kubernetes/kubeconfig.ts");
      const cluster = await clusterAccess(target).catch(() => undefined);
      if (cluster === undefined) return "unknown";
      const namespace = target.namespace ?? cluster.namespace ?? "default";
      return [cluster.server, namespace, target.httpRoute, target.rule ?? "", versions].join(" ");
    }
    case "nginx":
      return `${target.file} ${target.split.by} ${versions}`;
    case "exec":
      return `${target.set.join(" ")} ${versions}`;
  }
}
