import type { HaproxyRouteTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type StatisticsRow, serverStatistics } from "../haproxy/statistics.ts";

/** The line of each version of a route. Throws `E_ROUTE_SERVER` where one has none, or a stranger takes traffic. */
export async function routeStatistics(
  route: HaproxyRouteTarget,
  signal: AbortSignal | undefined,
): Promise<{ readonly version: string; readonly server: string; readonly row: StatisticsRow }[]> {
  const { socket, backend } = route;
  for (const word of [backend, ...Object.values(route.versions)]) refuseUnsafeName(route, word);
  const rows = await serverStatistics(socket, backend, { signal });
  const byServer = new Map(rows.map((row) => [row.svname, row]));
  refuseStrangers(route, rows);
  return Object.entries(route.versions).map(([version, server]) => {
    const row = byServer.get(server);
    if (row !== undefined) return { version, server, row };
    const names = rows.map((each) => each.svname ?? "");
    throw new UsageError("E_ROUTE_SERVER", `The backend ${backend} has no server "${server}" (${version})`, {
      hint: suggestion(server, names),
    });
  });
}

/** A name goes into a command line of the runtime socket, where `;` and blanks have a meaning. */
export function refuseUnsafeName(route: HaproxyRouteTarget, word: string): void {
  if (/^[A-Za-z0-9_.:-]+$/.test(word)) return;
  throw new UsageError(
    "E_ROUTE_NAME",
    `The route ${route.name} has "${word}", which HAProxy cannot have as a name`,
    {
      hint: "HAProxy's names hold letters, digits, '_', '.', ':' and '-'; correct the route in .opsrc",
    },
  );
}

/** A server with weight that no version names would take part of every share. */
function refuseStrangers(route: HaproxyRouteTarget, rows: readonly StatisticsRow[]): void {
  const known = new Set(Object.values(route.versions));
  const stranger = rows.find(
    (row) => !known.has(row.svname ?? "") && row.act === "1" && Number(row.uweight) > 0,
  );
  if (stranger === undefined) return;
  throw new UsageError(
    "E_ROUTE_SERVER",
    `The server ${route.backend}/${stranger.svname} takes traffic but is no version of the route ${route.name}`,
    { hint: 'add it under "versions:" of the route in .opsrc, or give it weight 0 in haproxy.cfg' },
  );
}
