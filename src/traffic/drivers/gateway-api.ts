import type { GatewayRouteTarget } from "../../config/environment.ts";
import { systemClock } from "../../core/clock.ts";
import { formatDuration } from "../../core/duration.ts";
import { OpsError, UsageError } from "../../core/errors.ts";
import { serviceEndpoints } from "../../gateway-api/endpoints.ts";
import {
  type BackendRef,
  type HttpRouteReading,
  patchWeights,
  readHttpRoute,
} from "../../gateway-api/http-route.ts";
import { KubernetesApi } from "../../kubernetes/api-client.ts";
import type { Health, VersionState } from "../../rollout/reading.ts";
import { formatShares, sameWeights, type WeightScale, type Weights } from "../../rollout/shares.ts";
import { driftError } from "../drift.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { Recent } from "./recent.ts";

/** The API takes a million; a scale that people read is enough. */
export const gatewayScale: WeightScale = { maximum: 1000 };

/** Milliseconds that what the API server said is taken for what it says now, where a canary only watches. */
const [routeKept, endpointsKept] = [1_000, 2_000] as const;
/** Milliseconds between two looks at what the gateway says. */
const lookEvery = 200;
/** Milliseconds that the tries of a few requests may need while the API server is busy. */
const busy = 20_000;
/** How often a patch is tried while somebody changes other things of the HTTPRoute. */
const attempts = 5;

/**
 * The weights of an HTTPRoute's backends. A patch is a compare-and-set: it changes nothing where the rule is not what was
 * read. A set is through when every gateway has accepted that generation; what a gateway refuses, or says nothing
 * about in time, is put back.
 */
export function gatewayDriver(route: GatewayRouteTarget): TrafficDriver {
  const api = new KubernetesApi(route);
  const versions = Object.entries(route.versions);
  const recent = new Recent(routeKept, (signal) => readHttpRoute(api, route, signal));
  const endpoints = new Map<string, Recent<{ readonly health: Health; readonly status: string }>>();

  const weightsIn = ({ backendRefs }: HttpRouteReading): Weights =>
    Object.fromEntries(
      versions.map(([version, service]) => [version, backendOf(backendRefs, service)?.weight ?? 1]),
    );
  const byService = (weights: Weights) =>
    new Map(versions.map(([version, service]) => [service, weights[version] ?? 0]));

  async function weights(signal?: AbortSignal): Promise<Weights> {
    return weightsIn(await readHttpRoute(api, route, signal));
  }

  async function states(signal?: AbortSignal): Promise<VersionState[]> {
    const reading = await recent.get(signal);
    refuseStrangers(route, reading);
    const present = weightsIn(reading);
    return Promise.all(
      versions.map(async ([version, server]) => ({
        version,
        server,
        weight: present[version] ?? 0,
        ...(await healthOf(reading, server, signal)),
      })),
    );
  }

  function healthOf(reading: HttpRouteReading, service: string, signal: AbortSignal | undefined) {
    const { kind = "Service", namespace = reading.namespace } = backendOf(reading.backendRefs, service) ?? {};
    if (kind !== "Service") return { health: "unknown" as const, status: "-" };
    let found = endpoints.get(service);
    found ??= new Recent(endpointsKept, (each) => serviceHealth(api, namespace, service, each));
    endpoints.set(service, found);
    return found.get(signal);
  }

  async function setWeights(wanted: Weights, signal?: AbortSignal, expected?: Weights): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const before = await write(wanted, signal, expected);
      recent.forget();
      const after = await accepted(wanted, before, signal);
      recent.forget();
      if (sameWeights(after, wanted)) return;
      // Somebody changed them after us. Who gives traffic back must not stop at that.
      if (expected !== undefined || attempt === attempts) throw driftError(route.name, after, [wanted]);
    }
  }

  /** Returns what was there before. */
  async function write(wanted: Weights, signal?: AbortSignal, expected?: Weights): Promise<Weights> {
    for (let attempt = 1; ; attempt += 1) {
      const seen = await readHttpRoute(api, route, signal);
      const present = weightsIn(seen);
      if (sameWeights(present, wanted)) return present;
      if (expected !== undefined && !sameWeights(present, expected))
        throw driftError(route.name, present, [expected]);
      if (await patchWeights(api, route, seen, byService(wanted), signal)) return present;
      if (attempt === attempts) {
        throw new OpsError(
          "E_WEIGHT_NOT_SET",
          `Something changes HTTPRoute ${route.httpRoute} again and again`,
          {
            hint: `see what: kubectl get httproute ${route.httpRoute} --show-managed-fields -o yaml`,
            details: { wanted, present },
          },
        );
      }
    }
  }

  /**
   * Waits until every gateway works with the weights, also where nothing had to be changed: a crash may lie between the
   * two. Returns the weights that are there then.
   */
  async function accepted(
    wanted: Weights,
    before: Weights,
    signal: AbortSignal | undefined,
  ): Promise<Weights> {
    const end = performance.now() + route.acceptWithin;
    for (;;) {
      const reading = await readHttpRoute(api, route, signal);
      const present = weightsIn(reading);
      const { acceptance } = reading;
      if (acceptance.kind === "accepted" || !sameWeights(present, wanted)) return present;
      if (acceptance.kind === "refused" || performance.now() >= end) {
        const why =
          acceptance.kind === "refused"
            ? `${acceptance.gateway} refuses them (${acceptance.reason})`
            : `${acceptance.gateway} has said nothing of them for ${formatDuration(route.acceptWithin)}`;
        throw await notAccepted(reading, before, why, signal);
      }
      await systemClock.sleep(lookEvery, signal);
    }
  }

  async function notAccepted(
    reading: HttpRouteReading,
    before: Weights,
    why: string,
    signal: AbortSignal | undefined,
  ): Promise<OpsError> {
    const isNew = !sameWeights(before, weightsIn(reading));
    const isBack = isNew && (await patchWeights(api, route, reading, byService(before), signal));
    const state = isBack ? `; it has ${formatShares(before)} again` : "";
    return new OpsError(
      "E_ROUTE_NOT_ACCEPTED",
      `The weights of HTTPRoute ${route.httpRoute} are not in force: ${why}${state}`,
      {
        hint: `see what the gateway says: kubectl describe httproute ${route.httpRoute} -n ${reading.namespace}`,
        details: { before, refused: weightsIn(reading) },
      },
    );
  }

  return { scale: gatewayScale, patience: route.acceptWithin + busy, states, weights, setWeights };
}

function backendOf(backendRefs: readonly BackendRef[], service: string): BackendRef | undefined {
  return backendRefs.find(({ name }) => name === service);
}

/** By the pods that are ready. Who may not see them, or a Service of another sort, knows nothing of its health. */
async function serviceHealth(
  api: KubernetesApi,
  namespace: string,
  service: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly health: Health; readonly status: string }> {
  try {
    const found = await serviceEndpoints(api, namespace, service, signal);
    if (found === undefined) return { health: "unknown", status: "-" };
    const { ready, total } = found;
    const health = ready === 0 ? "down" : ready < total ? "failing" : "up";
    return { health, status: `${ready} of ${total} ready` };
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_KUBERNETES_DENIED")
      return { health: "unknown", status: "-" };
    throw error;
  }
}

/** A backend with weight that no version names would take part of every share. */
function refuseStrangers(route: GatewayRouteTarget, { backendRefs }: HttpRouteReading): void {
  const known = new Set(Object.values(route.versions));
  const stranger = backendRefs.find(({ name, weight = 1 }) => weight > 0 && !known.has(name));
  if (stranger === undefined) return;
  throw new UsageError(
    "E_ROUTE_SERVER",
    `The backend ${stranger.name} of HTTPRoute ${route.httpRoute} takes traffic but is no version of the route ${route.name}`,
    { hint: 'add it under "versions:" of the route in .opsrc, or give it weight 0' },
  );
}
