import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type RuntimeCommandOptions, runtimeCommand } from "./runtime-socket.ts";
import { countedOf, parseStatistics, type StatisticsRow } from "./statistics.ts";

/** What a person or `ops` wants of a server: `drain`: no new users, `maint`: nothing at all, no health checks either. */
export type AdminState = "ready" | "drain" | "maint";

/** `up`: it can take requests; `unchecked`: it has no health check, so HAProxy takes it for well. */
export type ServerHealth = "up" | "unchecked" | "stopping" | "down";

export type ServerState = {
  name: string;
  /** `10.0.0.1:8080` */
  address: string;
  admin: AdminState;
  health: ServerHealth;
  /** As HAProxy calls it: `UP`, `UP 1/2`, `DRAIN`, `MAINT`. */
  status: string;
  /** What the last health check saw: `L7OK/200`; empty where there was none. */
  check: string;
  /** Absolute, 0 to 256. */
  weight: number;
  /** That of haproxy.cfg. */
  configuredWeight: number;
  backup: boolean;
  /** Whether haproxy.cfg gives it health checks. */
  checked: boolean;
  /** Requests being served. */
  sessions: number;
  /** Requests waiting for this server. */
  queue: number;
  /** Requests in the last second. */
  rate: number;
  /** Requests since HAProxy started, like all counts here. */
  requests: number;
  serverErrors: number;
  connectionErrors: number;
  responseErrors: number;
  retries: number;
  redispatches: number;
  failedChecks: number;
  /** Milliseconds, over about the last 1024 requests; null before the first one. */
  meanResponse: number | null;
};

/** One look at a backend. */
export type BackendState = {
  /** As haproxy.cfg calls it: `roundrobin`, `leastconn`. */
  algorithm: string;
  /** Name of the cookie that keeps users on their server; null where there is none. */
  cookie: string | null;
  /** Requests that wait for any server. */
  queue: number;
  /** Which worker process answered, and since when: another one after a restart or a reload. */
  process: string;
  servers: ServerState[];
};

/**
 * The servers of one backend, in the order of haproxy.cfg. Throws as `runtimeCommand` does, and `E_HAPROXY_BACKEND`
 * (usage) where HAProxy has no such backend.
 */
export async function readBackend(
  socket: string,
  backend: string,
  options: RuntimeCommandOptions = {},
): Promise<BackendState> {
  // In one exchange, so that all of it comes from the same process. 6: backends and their servers.
  const command = `show info; show stat -1 6 -1; show servers state ${backend}`;
  const answer = await runtimeCommand(socket, command, options);
  const all = parseStatistics(part(answer, "# pxname,"));
  const rows = all.filter((row) => row.pxname === backend);
  const summary = rows.find((row) => row.svname === "BACKEND");
  if (summary === undefined) {
    const names = new Set(all.map((row) => row.pxname ?? ""));
    throw new UsageError("E_HAPROXY_BACKEND", `HAProxy at ${socket} has no backend "${backend}"`, {
      hint: `correct "backend" in .opsrc: ${suggestion(backend, names)}`,
    });
  }
  const states = parseServerStates(part(answer, "# be_id "));
  return {
    algorithm: summary.algo ?? "",
    cookie: summary.cookie === undefined || summary.cookie === "" ? null : summary.cookie,
    queue: Number(summary.qcur),
    process: `${/^Pid: (\d+)$/m.exec(answer)?.[1] ?? ""}/${/^Start_time_sec: (\d+)$/m.exec(answer)?.[1] ?? ""}`,
    servers: rows
      .filter((row) => row !== summary)
      .map((row) => serverState(row, states.get(row.svname ?? ""))),
  };
}

/** From the line that begins so to the next empty one. */
function part(answer: string, beginning: string): string {
  const at = answer.indexOf(beginning);
  return at === -1 ? "" : (answer.slice(at).split(/\n\s*\n/)[0] ?? "");
}

/** Bits of `srv_admin_state` (HAProxy's management guide, "show servers state"): forced, inherited, by resolution. */
const [maintenance, draining] = [0x01 | 0x02 | 0x20 | 0x40, 0x08 | 0x10];

/** A bit of `srv_check_state`. */
const checkConfigured = 0x02;

interface AdministrativeState {
  readonly admin: AdminState;
  /** 0: stopped, 1: starting (slow start), 2: running, 3: stopping. */
  readonly operational: number;
  readonly weight: number;
  readonly configuredWeight: number;
  readonly checked: boolean;
}

/** The lines of `show servers state`, which begin with a line of column names after `# `. */
export function parseServerStates(text: string): Map<string, AdministrativeState> {
  const [header = "", ...lines] = text.split("\n").filter((line) => line !== "");
  const columns = header.replace(/^# /, "").split(" ");
  return new Map(
    lines.map((line) => {
      const values = line.split(" ");
      const value = (column: string) => values[columns.indexOf(column)] ?? "";
      const bits = Number(value("srv_admin_state"));
      const admin = (bits & maintenance) !== 0 ? "maint" : (bits & draining) !== 0 ? "drain" : "ready";
      const state: AdministrativeState = {
        admin,
        operational: Number(value("srv_op_state")),
        weight: Number(value("srv_uweight")),
        configuredWeight: Number(value("srv_iweight")),
        checked: (Number(value("srv_check_state")) & checkConfigured) !== 0,
      };
      return [value("srv_name"), state] as const;
    }),
  );
}

function serverState(row: StatisticsRow, state: AdministrativeState | undefined): ServerState {
  const name = row.svname ?? "";
  if (state === undefined) throw new Error(`HAProxy tells no state of the server ${name}`);
  const { counters, meanResponse } = countedOf(row);
  const { answered: _, ...counts } = counters;
  return {
    name,
    address: row.addr ?? "",
    admin: state.admin,
    health: healthOf(state),
    status: row.status ?? "",
    check: shownCheck(row),
    weight: state.weight,
    configuredWeight: state.configuredWeight,
    backup: row.bck === "1",
    checked: state.checked,
    sessions: Number(row.scur),
    queue: Number(row.qcur),
    rate: Number(row.rate),
    ...counts,
    meanResponse,
  };
}

/** A check on its way has the result of the one before behind a star, and no code. */
function shownCheck({ check_status: status = "", check_code: code = "" }: StatisticsRow): string {
  return status.startsWith("* ") || code === "" ? status.replace(/^\* /, "") : `${status}/${code}`;
}

function healthOf({ operational, checked }: AdministrativeState): ServerHealth {
  if (operational === 0) return "down";
  if (operational === 3) return "stopping";
  return checked ? "up" : "unchecked";
}
