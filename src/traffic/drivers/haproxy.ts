import type { HaproxyRouteTarget } from "../../config/environment.ts";
import { OpsError } from "../../core/errors.ts";
import { runtimeCommand } from "../../haproxy/runtime-socket.ts";
import { keepServerState } from "../../haproxy/server-state.ts";
import type { Health, VersionState } from "../../rollout/reading.ts";
import type { WeightScale, Weights } from "../../rollout/shares.ts";
import { refuseOthers } from "../drift.ts";
import { refuseUnsafeName, routeStatistics } from "../haproxy-statistics.ts";
import type { TrafficDriver } from "../traffic-driver.ts";

export const haproxyScale: WeightScale = { maximum: 256 };

/**
 * HAProxy's runtime socket. Weights are absolute: a percentage there is relative to the configured weight. With a state
 * file they outlive a reload.
 */
export function haproxyDriver(route: HaproxyRouteTarget): TrafficDriver {
  const { socket, backend, stateFile } = route;
  const versions = Object.entries(route.versions);
  const servers = Object.values(route.versions);
  for (const word of [backend, ...servers]) refuseUnsafeName(route, word);

  async function weights(signal?: AbortSignal): Promise<Weights> {
    const found = await Promise.all(
      versions.map(async ([version, server]) => {
        const answer = await runtimeCommand(socket, `get weight ${backend}/${server}`, { signal });
        const weight = /^(\d+) \(initial \d+\)$/.exec(answer)?.[1];
        if (weight === undefined) throw refused(`${backend}/${server}`, answer);
        return [version, Number(weight)] as const;
      }),
    );
    return Object.fromEntries(found);
  }

  async function setWeights(wanted: Weights, signal?: AbortSignal, expected?: Weights): Promise<void> {
    await change(wanted, signal, expected);
    // Whatever becomes of the file: traffic that is given back must be given back.
    const notKept: unknown = await keep(signal).then(
      () => undefined,
      (error: unknown) => error,
    );
    const after = await weights(signal);
    const wrong = versions.filter(([version]) => after[version] !== (wanted[version] ?? 0));
    if (wrong.length > 0) {
      const text = wrong.map(([version]) => `${version} has ${after[version]} instead of ${wanted[version]}`);
      throw new OpsError(
        "E_WEIGHT_NOT_SET",
        `HAProxy did not keep the weights of ${backend}: ${text.join(", ")}`,
        {
          hint: "see who else changes them: ops traffic status",
          details: { wanted, after },
        },
      );
    }
    if (notKept !== undefined) throw notKept;
  }

  /** Also where nothing was to change: a crash may have come between the weights and the file. */
  async function keep(signal: AbortSignal | undefined): Promise<void> {
    if (stateFile === undefined) return;
    await keepServerState(stateFile, { socket, backend, servers }, signal);
  }

  /**
   * Increases before decreases, and those only where the increases were taken: at no moment may all weights be zero, also where a static algorithm
   * takes 0 and nothing else.
   */
  async function change(
    wanted: Weights,
    signal: AbortSignal | undefined,
    expected: Weights | undefined,
  ): Promise<void> {
    const present = await weights(signal);
    refuseOthers(route.name, present, expected);
    const changes = versions
      .map(([version, server]) => ({ server, from: present[version] ?? 0, to: wanted[version] ?? 0 }))
      .filter(({ from, to }) => from !== to);
    const increases = changes.filter(({ from, to }) => to > from);
    const decreases = changes.filter(({ from, to }) => to < from);
    for (const part of [increases, decreases]) {
      const answer = await setAll(
        part.map(({ server, to }) => ({ server, weight: to })),
        signal,
      );
      if (answer === "") continue;
      await setAll(
        changes.map(({ server, from }) => ({ server, weight: from })),
        signal,
      );
      throw refused(backend, answer);
    }
  }

  /** In one command line. Returns what HAProxy has against it. */
  async function setAll(
    servers: readonly { readonly server: string; readonly weight: number }[],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    if (servers.length === 0) return "";
    const command = servers
      .map(({ server, weight }) => `set weight ${backend}/${server} ${weight}`)
      .join("; ");
    return runtimeCommand(socket, command, { signal });
  }

  async function states(signal?: AbortSignal): Promise<VersionState[]> {
    const rows = await routeStatistics(route, signal);
    return rows.map(({ version, server, row }) => {
      const status = row.status ?? "";
      const inFlight = Number(row.scur) + Number(row.qcur);
      return { version, server, weight: Number(row.uweight), health: healthOf(status), status, inFlight };
    });
  }

  return { scale: haproxyScale, states, weights, setWeights };
}

/** HAProxy's status words: UP, "UP 1/2" (going down), "DOWN 1/2" (coming back), MAINT, DRAIN, NOLB, "no check". */
export function healthOf(status: string): Health {
  if (status === "UP" || status === "no check") return "up";
  return /^(UP|NOLB|DRAIN)\b/.test(status) ? "failing" : "down";
}

function refused(subject: string, answer: string): OpsError {
  const text = answer.split("\n").find((line) => line !== "") ?? "an empty answer";
  return new OpsError("E_HAPROXY_REFUSED", `HAProxy refused to work on ${subject}: ${text}`, {
    hint: 'compare the route\'s "backend" and "versions" in .opsrc with haproxy.cfg',
    retryable: false,
  });
}
