import type { HaproxyRouteTarget } from "../../config/environment.ts";
import { OpsError, UsageError } from "../../core/errors.ts";
import { RuntimeMap } from "../../haproxy/runtime-map.ts";
import { formatShares, sameWeights, type Weights } from "../../rollout/shares.ts";
import { type Buckets, bucketNames, bucketWeights, dealt } from "../buckets.ts";
import { refuseOthers } from "../drift.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { haproxyDriver } from "./haproxy.ts";

/**
 * Users stay with their version: haproxy.cfg gives each of them a bucket, and a map says which server a bucket has. The
 * weights are numbers of buckets. The servers' own weights are left alone: they are for requests without a bucket.
 */
export function haproxyBuckets(
  route: HaproxyRouteTarget,
  { map: path, count }: NonNullable<HaproxyRouteTarget["buckets"]>,
): TrafficDriver {
  const map = new RuntimeMap(route.socket, path);
  const servers = haproxyDriver(route);
  const versions = Object.keys(route.versions);
  const versionOf = new Map(Object.entries(route.versions).map(([version, server]) => [server, version]));
  const names = bucketNames(count);

  async function read(signal?: AbortSignal): Promise<Buckets> {
    const entries = await map.read(signal);
    return new Map(
      names.map((bucket) => {
        const server = entries.get(bucket);
        const version = versionOf.get(server ?? "");
        if (version !== undefined) return [bucket, version];
        const what = server === undefined ? "has no entry" : `has "${server}", which is no version's server,`;
        throw new UsageError("E_BUCKETS", `The map ${path} ${what} for bucket ${bucket} of ${count}`, {
          hint: `fill it before HAProxy starts: for i in $(seq 0 ${count - 1}); do echo "$i ${Object.values(route.versions)[0]}"; done > ${path}`,
        });
      }),
    );
  }

  const weights = async (signal?: AbortSignal) => bucketWeights(await read(signal), versions);

  return {
    scale: { maximum: count, total: count },
    splits: "users",
    weights,

    async states(signal) {
      const [states, own] = await Promise.all([servers.states(signal), weights(signal)]);
      return states.map((state) => ({ ...state, weight: own[state.version] ?? 0 }));
    },

    async setWeights(wanted, signal, expected) {
      const present = await read(signal);
      refuseOthers(route.name, bucketWeights(present, versions), expected);
      const buckets = dealt(present, whole(wanted));
      await map.replace(
        new Map([...buckets].map(([bucket, version]) => [bucket, route.versions[version] ?? ""])),
        signal,
      );
      const after = await weights(signal);
      if (sameWeights(after, wanted)) return;
      throw new OpsError("E_WEIGHT_NOT_SET", `The map ${path} has ${formatShares(after)}`, {
        hint: "see who else changes it: ops traffic status",
        details: { wanted, after },
      });
    },

    requireSettable: (signal) => map.requireKept(signal),
  };

  function whole(wanted: Weights): Weights {
    const total = Object.values(wanted).reduce((sum, each) => sum + each, 0);
    if (total === count) return wanted;
    throw new UsageError("E_BUCKETS", `The route ${route.name} has ${count} buckets, not ${total}`, {
      hint: 'the "buckets:" of the route in .opsrc were changed: take the run back with ops runs rollback, or set them as they were',
    });
  }
}
