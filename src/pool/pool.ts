import type { Environment, PoolTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type BackendState, readBackend, type ServerState } from "../haproxy/backend-state.ts";
import { isHaproxyName } from "../haproxy/name.ts";
import { keepServerState } from "../haproxy/server-state.ts";
import { type ServerSettings, setServers } from "../haproxy/set-servers.ts";

/** The servers of one backend, as they can be read and changed while HAProxy runs. */
export interface Pool {
  readonly target: PoolTarget;
  read(signal: AbortSignal): Promise<BackendState>;
  /** Sets and reads back; returns what was read. Routes over the same backend keep the new weights over a reload. */
  set(wanted: ServerSettings, signal: AbortSignal): Promise<BackendState>;
}

/** Throws `E_TARGET` (usage) where there is no such pool. */
export function openPool(environment: Environment, name: string | undefined): Pool {
  const target = environment.pool(name);
  const { socket, backend } = target;
  if (!isHaproxyName(backend)) {
    throw new UsageError(
      "E_POOL_NAME",
      `The pool ${target.name} has the backend "${backend}", which HAProxy cannot have as a name`,
      { hint: "HAProxy's names hold letters, digits, '_', '.', ':' and '-'; correct the pool in .opsrc" },
    );
  }
  return {
    target,
    read: (signal) => readBackend(socket, backend, { signal }),
    async set(wanted, signal) {
      const state = await setServers(socket, backend, wanted, { signal });
      for (const { file, servers } of target.routeStates) {
        await keepServerState(file, { socket, backend, servers }, signal);
      }
      return state;
    },
  };
}

/** Throws `E_SERVER` (usage) where the pool has no such server. */
export function requireServer({ target }: Pool, { servers }: BackendState, name: string): ServerState {
  const found = servers.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new UsageError("E_SERVER", `The pool ${target.name} has no server "${name}"`, {
    hint: suggestion(
      name,
      servers.map((each) => each.name),
    ),
  });
}

/** What a change to a pool locks: the pool, and every other name under which the same servers can be changed. */
export function poolLocks(environment: Environment, name: string | undefined): string[] {
  const { socket, backend } = environment.pool(name);
  const isSame = (other: { readonly socket: string; readonly backend: string }) =>
    other.socket === socket && other.backend === backend;
  const pools = environment.poolNames().filter((each) => isSame(environment.pool(each)));
  const routes = environment.names("routes").filter((each) => {
    const route = environment.route(each);
    return route.driver === "haproxy" && isSame(route);
  });
  return [...pools.map((each) => `pool:${each}`), ...routes.map((each) => `route:${each}`)].sort();
}

/** Whether a request of anybody can go to a server now. */
export function isUsable({
  admin,
  health,
  weight,
}: Pick<ServerState, "admin" | "health" | "weight">): boolean {
  return admin === "ready" && (health === "up" || health === "unchecked") && weight > 0;
}

/** Throws `E_LAST_SERVER` (usage) where no other server can take the requests of this one. */
export function refuseLast({ target }: Pool, { servers }: BackendState, server: string): void {
  const own = servers.find((each) => each.name === server);
  if (own === undefined || !isUsable(own)) return;
  const others = servers.filter((each) => each.name !== server);
  if (others.some(isUsable)) return;
  const states = others.map((each) => `${each.name} is ${stateInWords(each)}`).join(", ");
  throw new UsageError(
    "E_LAST_SERVER",
    `${server} is the last server of pool ${target.name} that can take requests${states === "" ? "" : `: ${states}`}`,
    { hint: "bring another one in first (ops pool enable), or add --last to leave the pool without servers" },
  );
}

/** `in maintenance`, `draining`, `down`, `up`, `up with weight 0`. */
export function stateInWords({
  admin,
  health,
  weight,
}: Pick<ServerState, "admin" | "health" | "weight">): string {
  if (admin === "maint") return "in maintenance";
  if (admin === "drain") return health === "down" ? "draining and down" : "draining";
  if (health === "down" || health === "stopping") return health;
  return weight === 0 ? "up with weight 0" : "up";
}

/** Percent of the requests that the weights give a server; 0 for one that takes none. */
export function shareOf(
  { servers }: BackendState,
  server: Pick<ServerState, "name" | "admin" | "health" | "weight">,
): number {
  if (!isUsable(server)) return 0;
  // Backup servers wait until no other one is left.
  const active = servers.filter(isUsable);
  const beside = active.some((each) => !each.backup) ? active.filter((each) => !each.backup) : active;
  if (!beside.some(({ name }) => name === server.name)) return 0;
  return (100 * server.weight) / beside.reduce((total, { weight }) => total + weight, 0);
}
