import type { RouteTarget } from "../../config/environment.ts";
import { OpsError, UsageError } from "../../core/errors.ts";
import { suggestion } from "../../core/suggestion.ts";
import { runtimeCommand, runtimeLines } from "../../haproxy/runtime-socket.ts";
import { type StatisticsRow, serverStatistics } from "../../haproxy/statistics.ts";
import type { AnsweredRequest, Health, Reading, TrafficDriver, Weights } from "../traffic-driver.ts";

/** HAProxy's runtime socket. Weights are absolute: a percentage there is relative to the configured weight. */
export function haproxyDriver(route: RouteTarget): TrafficDriver {
  const { socket, backend, requestRing } = route;
  const versions = Object.entries(route.versions);
  for (const word of [backend, ...Object.values(route.versions), ...(requestRing ? [requestRing] : [])]) {
    refuseUnsafeName(route, word);
  }

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

  async function setWeights(wanted: Weights, signal?: AbortSignal): Promise<void> {
    const present = await weights(signal);
    // Increases first: at no moment may all weights be zero.
    const changes = versions
      .map(([version, server]) => ({ server, from: present[version] ?? 0, to: wanted[version] ?? 0 }))
      .filter(({ from, to }) => from !== to)
      .sort((a, b) => b.to - b.from - (a.to - a.from));
    if (changes.length > 0) {
      const command = changes.map(({ server, to }) => `set weight ${backend}/${server} ${to}`).join("; ");
      const answer = await runtimeCommand(socket, command, { signal });
      if (answer !== "") throw refused(backend, answer);
    }
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
  }

  async function read(signal?: AbortSignal): Promise<Reading> {
    const rows = await serverStatistics(socket, backend, { signal });
    const byServer = new Map(rows.map((row) => [row.svname, row]));
    refuseStrangers(route, rows);
    return versions.map(([version, server]) => {
      const row = byServer.get(server);
      if (row === undefined) {
        throw new UsageError(
          "E_ROUTE_SERVER",
          `The backend ${backend} has no server "${server}" (${version})`,
          {
            hint: suggestion(
              server,
              rows.map((each) => each.svname ?? ""),
            ),
          },
        );
      }
      const status = row.status ?? "";
      const answered = answerColumns.reduce((total, column) => total + Number(row[column]), 0);
      return {
        version,
        server,
        weight: Number(row.uweight),
        health: healthOf(status),
        status,
        process: row.process ?? "",
        counters: {
          requests: Number(row.stot),
          answered,
          serverErrors: Number(row.hrsp_5xx),
          connectionErrors: Number(row.econ),
          responseErrors: Number(row.eresp),
          retries: Number(row.wretr),
          redispatches: Number(row.wredis),
          failedChecks: Number(row.chkfail),
        },
        ...(answered === 0 ? {} : { meanResponse: Number(row.rtime) }),
      };
    });
  }

  async function requireRequestTimes(signal?: AbortSignal): Promise<void> {
    if (requestRing === undefined) {
      throw new UsageError(
        "E_REQUEST_RING",
        `The route ${route.name} names no ring to take request times from`,
        {
          hint: 'configure a ring in haproxy.cfg and "request-ring" of the route (docs/traffic.md), or limit mean-response instead of p95',
        },
      );
    }
    const sinks = await runtimeCommand(socket, "show events", { signal });
    if (!sinks.split("\n").some((line) => line.trim().split(/\s+/)[0] === requestRing)) {
      throw new UsageError("E_REQUEST_RING", `HAProxy at ${socket} has no ring "${requestRing}"`, {
        hint: `add "ring ${requestRing}" to haproxy.cfg (docs/traffic.md), or limit mean-response instead of p95`,
      });
    }
  }

  const versionOf = new Map(versions.map(([version, server]) => [server, version]));
  async function* followRequests(signal: AbortSignal): AsyncGenerator<AnsweredRequest, void, undefined> {
    for await (const line of runtimeLines(socket, `show events ${requestRing} -w -n`, signal)) {
      const request = parseRequestLine(line, backend, versionOf);
      if (request !== undefined) yield request;
    }
  }

  return { weights, setWeights, read, requireRequestTimes, followRequests };
}

const answerColumns = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"] as const;

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

/** HAProxy's status words: UP, "UP 1/2" (going down), "DOWN 1/2" (coming back), MAINT, DRAIN, NOLB, "no check". */
export function healthOf(status: string): Health {
  if (status === "UP" || status === "no check") return "up";
  return /^(UP|NOLB|DRAIN)\b/.test(status) ? "failing" : "down";
}

/** A name goes into a command line of the runtime socket, where `;` and blanks have a meaning. */
function refuseUnsafeName(route: RouteTarget, word: string): void {
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
function refuseStrangers(route: RouteTarget, rows: readonly StatisticsRow[]): void {
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

function refused(subject: string, answer: string): OpsError {
  const text = answer.split("\n").find((line) => line !== "") ?? "an empty answer";
  return new OpsError("E_HAPROXY_REFUSED", `HAProxy refused to work on ${subject}: ${text}`, {
    hint: 'compare the route\'s "backend" and "versions" in .opsrc with haproxy.cfg',
    retryable: false,
  });
}
