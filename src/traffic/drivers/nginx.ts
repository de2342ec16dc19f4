import type { NginxRouteTarget } from "../../config/environment.ts";
import { OpsError, UsageError } from "../../core/errors.ts";
import { readOwnedFile, writeOwnedFile } from "../../nginx/owned-file.ts";
import { parseRouteFile, type RouteMarker, renderRouteFile, wholeOfClients } from "../../nginx/route-file.ts";
import { loadedMarker, reload, testConfiguration } from "../../nginx/running-nginx.ts";
import { withFileLock } from "../../process/file-lock.ts";
import type { VersionState } from "../../rollout/reading.ts";
import type { Weights } from "../../rollout/shares.ts";
import { refuseOthers } from "../drift.ts";
import type { Mirror, TrafficDriver } from "../traffic-driver.ts";

/** Milliseconds that another set is waited for. */
const lockPatience = 20_000;
/** Milliseconds between two looks at what nginx has loaded, and for which no worker of before must answer. */
const [lookEvery, quiet] = [25, 300];

/**
 * One file that nginx includes and `ops` owns. The weights are those that the running nginx says it has loaded, not those
 * of the file: after a crash between the two, the next set finishes the work.
 */
export function nginxDriver(route: NginxRouteTarget): TrafficDriver {
  const file = { route: route.name, split: route.split, versions: route.versions, status: route.status };

  async function weights(signal?: AbortSignal): Promise<Weights> {
    // The file first: edited, and then reloaded by somebody else, nginx still tells the weights of before.
    parseRouteFile(route.file, await readOwnedFile(route));
    return weightsOf(route, await loadedMarker(route.status, route.name, signal));
  }

  /** @param next what the file is to say, of what it says */
  async function change(
    next: (present: RouteMarker) => Pick<RouteMarker, "weights" | "mirror">,
    signal: AbortSignal | undefined,
    expected?: Weights,
  ): Promise<void> {
    // No lock is left beside a file that is not there.
    await readOwnedFile(route);
    await withFileLock(`${route.file}.lock`, { patience: lockPatience, signal }, async () => {
      const old = await readOwnedFile(route);
      const { weights: wanted, mirror } = next(parseRouteFile(route.file, old));
      const text = renderRouteFile(file, wanted, mirror);
      const { digest } = parseRouteFile(route.file, text);
      // Nothing is touched where nginx cannot be asked afterwards.
      const loaded = await loadedMarker(route.status, route.name, signal);
      if (old === text && loaded.digest === digest) return;
      refuseOthers(route.name, weightsOf(route, loaded), expected);
      await replace(route, { old, text, digest }, signal);
    });
  }

  /** A version that gets requests of its own gets no copies any more. */
  const setWeights = (wanted: Weights, signal?: AbortSignal, expected?: Weights) =>
    change(
      ({ mirror }) =>
        mirror === undefined || (wanted[mirror.version] ?? 0) > 0
          ? { weights: wanted }
          : { weights: wanted, mirror },
      signal,
      expected,
    );

  const mirror: Mirror = {
    async read(signal) {
      parseRouteFile(route.file, await readOwnedFile(route));
      return (await loadedMarker(route.status, route.name, signal)).mirror;
    },
    set: (copies, signal) =>
      change(({ weights: present }) => ({ weights: present, ...(copies && { mirror: copies }) }), signal),
  };

  async function states(signal?: AbortSignal): Promise<VersionState[]> {
    const present = await weights(signal);
    return Object.entries(route.versions).map(([version, server]) => ({
      version,
      server,
      weight: present[version] ?? 0,
      health: "unknown",
      status: "-",
    }));
  }

  const scale =
    route.split.by === "upstream" ? { maximum: 1000 } : { maximum: wholeOfClients, total: wholeOfClients };
  const splits = route.split.by === "upstream" ? "requests" : "users";
  return { scale, patience: route.loadWithin + lockPatience, splits, states, weights, setWeights, mirror };
}

/** Throws where a version of the file is none of the route, or the other way round. */
function weightsOf(route: NginxRouteTarget, { weights }: RouteMarker): Weights {
  const stranger = Object.keys(weights).find(
    (version) => (weights[version] ?? 0) > 0 && !Object.hasOwn(route.versions, version),
  );
  if (stranger !== undefined) {
    throw new UsageError(
      "E_ROUTE_SERVER",
      `"${stranger}" takes traffic in ${route.file} but is no version of the route ${route.name}`,
      { hint: 'add it under "versions:" of the route in .opsrc' },
    );
  }
  return Object.fromEntries(Object.keys(route.versions).map((version) => [version, weights[version] ?? 0]));
}

interface Replacement {
  readonly old: string;
  readonly text: string;
  readonly digest: string;
}

/** Write, test, reload, wait until it is loaded; where any of it fails, the old file is put back and loaded. */
async function replace(
  route: NginxRouteTarget,
  { old, text, digest }: Replacement,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bounded = signal ?? new AbortController().signal;
  let reloaded = false;
  try {
    if (old !== text) await writeOwnedFile(route, text);
    await testConfiguration(route, bounded);
    reloaded = true;
    await reload(route, bounded);
    await untilLoaded(route, digest, signal);
  } catch (error) {
    if (old !== text) await writeOwnedFile(route, old);
    // It may have begun to load what is taken back here.
    if (reloaded) await reload(route, new AbortController().signal).catch(() => undefined);
    throw error;
  }
}

/**
 * Until only workers that have loaded it answer. nginx starts the new ones, lets the old ones go on accepting for 100 ms,
 * and then tells them to end: so an answer of a new one is not enough, and none of an old one for some time is.
 */
async function untilLoaded(
  route: NginxRouteTarget,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = performance.now() + route.loadWithin;
  let since: number | undefined;
  for (;;) {
    const loaded = await loadedMarker(route.status, route.name, signal);
    const now = performance.now();
    since = loaded.digest === digest ? (since ?? now) : undefined;
    if (since !== undefined && now - since >= quiet) return;
    if (now >= end) {
      throw new OpsError("E_WEIGHT_NOT_SET", `nginx was told to reload but has not loaded ${route.file}`, {
        hint: "its error log says why; the file is as it was before",
        details: { loaded: loaded.weights },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, lookEvery));
    signal?.throwIfAborted();
  }
}
