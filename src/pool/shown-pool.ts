import { z } from "zod";
import { columns } from "../core/columns.ts";
import { counted } from "../core/counted.ts";
import { formatPercent } from "../core/percent.ts";
import type { BackendState, ServerState } from "../haproxy/backend-state.ts";
import { isPlain, plainScreen, type Screen } from "../run/screen.ts";
import { isUsable, type Pool, shareOf, stateInWords } from "./pool.ts";
import { strategyName } from "./strategy-name.ts";

const shownServer = z.object({
  server: z.string(),
  address: z.string(),
  state: z.enum(["ready", "drain", "maint"]),
  health: z.enum(["up", "unchecked", "stopping", "down"]),
  usable: z.boolean().describe("Whether a request of anybody can go to it now"),
  status: z.string().describe("As HAProxy calls it"),
  check: z.string().describe("What the last health check saw: L7OK/200"),
  weight: z.number(),
  configuredWeight: z.number().describe("That of haproxy.cfg"),
  share: z.number().describe("Percent of the requests that the weights give it"),
  backup: z.boolean(),
  sessions: z.number().describe("Requests being served"),
  queue: z.number().describe("Requests waiting for it"),
  rate: z.number().describe("Requests in the last second"),
  requests: z.number().describe("Since HAProxy started, like all counts here"),
  bad: z.number().describe("5xx, connection and response errors, retries and redispatches"),
  serverErrors: z.number(),
  connectionErrors: z.number(),
  responseErrors: z.number(),
  retries: z.number(),
  redispatches: z.number(),
  failedChecks: z.number(),
  meanResponse: z.number().nullable().describe("Milliseconds, over about the last 1024 requests"),
});

export const shownPool = z.object({
  pool: z.string(),
  backend: z.string(),
  strategy: z.string().describe("round-robin, weighted, least-connections, sticky, or HAProxy's own word"),
  usable: z.number().describe("Servers that can take requests now"),
  sessions: z.number(),
  queue: z.number().describe("Requests that wait, for one server or for any"),
  rate: z.number(),
  servers: z.array(shownServer),
});
export type ShownPool = z.output<typeof shownPool>;

export function shownPoolOf({ target }: Pool, state: BackendState): ShownPool {
  const { servers } = state;
  const sum = (each: (server: ServerState) => number) => servers.reduce((total, one) => total + each(one), 0);
  return {
    pool: target.name,
    backend: target.backend,
    strategy: strategyName(state),
    usable: servers.filter(isUsable).length,
    sessions: sum(({ sessions }) => sessions),
    queue: state.queue,
    rate: sum(({ rate }) => rate),
    servers: servers.map(({ name, admin, checked: _, ...server }) => ({
      server: name,
      state: admin,
      ...server,
      usable: isUsable({ admin, ...server }),
      share: shareOf(state, { name, admin, ...server }),
      // One request can leave several of these marks.
      bad: Math.min(
        server.requests,
        server.serverErrors +
          server.connectionErrors +
          server.responseErrors +
          server.retries +
          server.redispatches,
      ),
    })),
  };
}

const header = [
  "server",
  "state",
  "weight",
  "share",
  "sessions",
  "queue",
  "req/s",
  "requests",
  "bad",
  "mean",
  "check",
];

export function renderPool(shown: ShownPool, screen: Screen = plainScreen): string {
  const { pool, backend, strategy, usable, servers, sessions, queue } = shown;
  const { color } = screen;
  const rows = servers.map((each) => {
    const words = stateInWords({ ...each, admin: each.state });
    const state = each.backup ? `${words}, backup` : words;
    return [
      each.server,
      isPlain(screen) ? state : each.usable ? color.green(state) : color.yellow(state),
      String(each.weight),
      formatPercent(each.share),
      String(each.sessions),
      String(each.queue),
      String(each.rate),
      String(each.requests),
      each.bad === 0 || isPlain(screen) ? String(each.bad) : color.red(String(each.bad)),
      each.meanResponse === null ? "-" : `${each.meanResponse} ms`,
      each.check === "" ? "-" : each.check,
    ];
  });
  const summary = `pool ${pool}: backend ${backend}, ${strategy}, ${usable} of ${counted(servers.length, "server")} usable, ${sessions} being served, ${queue} waiting`;
  return [summary, ...columns([header, ...rows], new Set([2, 3, 4, 5, 6, 7, 8, 9]))].join("\n");
}
