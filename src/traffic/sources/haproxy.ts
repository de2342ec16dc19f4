import type { HaproxyRouteTarget } from "../../config/environment.ts";
import { UsageError } from "../../core/errors.ts";
import { runtimeCommand, runtimeLines } from "../../haproxy/runtime-socket.ts";
import { countedOf } from "../../haproxy/statistics.ts";
import type { AnsweredRequest, RequestSource } from "../../request-source/request-source.ts";
import { refuseUnsafeName, routeStatistics } from "../haproxy-statistics.ts";

/** HAProxy's own statistics, and a ring of it with one line for each request. */
export function haproxySource(route: HaproxyRouteTarget): RequestSource {
  const { socket, backend, requestRing: ring } = route;
  if (ring !== undefined) refuseUnsafeName(route, ring);
  const versionOf = new Map(Object.entries(route.versions).map(([version, server]) => [server, version]));

  return {
    mean: "known",
    async read(signal) {
      const rows = await routeStatistics(route, signal);
      return rows.map(({ version, row }) => {
        const { counters, meanResponse } = countedOf(row);
        const mean = meanResponse === null ? {} : { meanResponse };
        return { version, process: row.process ?? "", counters, ...mean };
      });
    },

    async requireTimes(_limit, signal) {
      if (ring === undefined) {
        throw new UsageError(
          "E_REQUEST_RING",
          `The route ${route.name} names no ring to take request times from`,
          {
            hint: 'configure a ring in haproxy.cfg and "request-ring" of the route (docs/balancers.md), or limit mean-response instead of p95',
          },
        );
      }
      const sinks = await runtimeCommand(socket, "show events", { signal });
      if (!sinks.split("\n").some((line) => line.trim().split(/\s+/)[0] === ring)) {
        throw new UsageError("E_REQUEST_RING", `HAProxy at ${socket} has no ring "${ring}"`, {
          hint: `add "ring ${ring}" to haproxy.cfg (docs/balancers.md), or limit mean-response instead of p95`,
        });
      }
    },

    times:
      ring === undefined
        ? undefined
        : async function* follow(signal) {
            for await (const line of runtimeLines(socket, `show events ${ring} -w -n`, signal)) {
              const request = parseRequestLine(line, backend, versionOf);
              if (request !== undefined) yield request;
            }
          },
  };
}

/** `<backend> <server> <status> <total milliseconds>`; undefined for other backends and for requests without an end. */
export function parseRequestLine(
  line: string,
  backend: string,
  versionOf: ReadonlyMap<string, string>,
): AnsweredRequest | undefined {
  const [, name, server, time] = /^(\S+) (\S+) -?\d+ \+?(\d+)$/.exec(line.trim()) ?? [];
  const version = name === backend && server !== undefined ? versionOf.get(server) : undefined;
  return version === undefined ? undefined : { version, time: Number(time) };
}
