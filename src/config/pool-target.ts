import { resolve } from "node:path";
import type { PoolSettings } from "./pool-schema.ts";
import type { RouteSettings } from "./route-schema.ts";

/** The servers of one backend of HAProxy. */
export interface PoolTarget {
  readonly name: string;
  /** A socket's absolute path, or `host:port`. */
  readonly socket: string;
  readonly backend: string;
  /** Undefined: nothing that needs a reload can be changed. */
  readonly configuration: PoolConfigurationTarget | undefined;
  /** The state files that routes over the same backend keep the weights of their servers in, absolute. */
  readonly routeStates: readonly { readonly file: string; readonly servers: readonly string[] }[];
}

export interface PoolConfigurationTarget {
  /** Absolute. */
  readonly file: string;
  /** `{file}` stands for the path of the file to check. */
  readonly check: readonly string[];
  readonly reload: ReloadTarget;
  /** Absolute path of HAProxy's server-state-file; undefined: none is written. */
  readonly stateFile: string | undefined;
  /** Where commands run. */
  readonly directory: string;
}

export type ReloadTarget =
  | { readonly by: "command"; readonly command: readonly string[] }
  /** A socket's absolute path, or `host:port`. */
  | { readonly by: "master-socket"; readonly socket: string };

/** Every pool there is: the configured ones, and each route over HAProxy under its own name. */
export function poolSettings(
  pools: Readonly<Record<string, PoolSettings>>,
  routes: Readonly<Record<string, RouteSettings>>,
): Record<string, PoolSettings> {
  const derived = Object.entries(routes).flatMap(([name, route]) =>
    route.driver === "haproxy" ? [[name, { socket: route.socket, backend: route.backend }] as const] : [],
  );
  return { ...Object.fromEntries(derived), ...pools };
}

/** @param directory of the configuration file: relative paths start there */
export function poolTarget(
  name: string,
  settings: PoolSettings,
  routes: Readonly<Record<string, RouteSettings>>,
  directory: string,
): PoolTarget {
  const { configuration, backend } = settings;
  const socket = placeOfSocket(settings.socket, directory);
  return {
    name,
    socket,
    backend,
    routeStates: Object.values(routes).flatMap((route) =>
      route.driver === "haproxy" &&
      route["state-file"] !== undefined &&
      route.backend === backend &&
      placeOfSocket(route.socket, directory) === socket
        ? [{ file: resolve(directory, route["state-file"]), servers: Object.values(route.versions) }]
        : [],
    ),
    configuration:
      configuration === undefined
        ? undefined
        : {
            file: resolve(directory, configuration.file),
            check: configuration.check,
            reload: reloadTarget(configuration, directory),
            stateFile:
              configuration["state-file"] === undefined
                ? undefined
                : resolve(directory, configuration["state-file"]),
            directory,
          },
  };
}

function reloadTarget(
  { reload, "master-socket": socket }: NonNullable<PoolSettings["configuration"]>,
  directory: string,
): ReloadTarget {
  if (reload !== undefined) return { by: "command", command: reload };
  return { by: "master-socket", socket: placeOfSocket(socket ?? "", directory) };
}

/** A socket's absolute path, or `host:port` (`[::1]:9999`) as it is. */
export function placeOfSocket(socket: string, directory: string): string {
  return /^(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d+$/.test(socket) ? socket : resolve(directory, socket);
}
