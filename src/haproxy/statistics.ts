import { OpsError } from "../core/errors.ts";
import { type RuntimeCommandOptions, runtimeCommand } from "./runtime-socket.ts";

/** One line of `show stat`: column name → text, empty where the column does not apply. */
export type StatisticsRow = Readonly<Record<string, string>>;

/**
 * The server lines of one backend, each with one column more: `process`, the process id of the worker that counted
 * them (HAProxy's own column `pid` is not that). It changes with every restart and reload. Throws `E_HAPROXY_BACKEND` where HAProxy has no such backend.
 */
export async function serverStatistics(
  socket: string,
  backend: string,
  options: RuntimeCommandOptions = {},
): Promise<StatisticsRow[]> {
  // Asked for by name, a frontend of the same name would be meant; 6 = backends and their servers.
  // Both in one exchange, so that both come from the same process.
  const answer = await runtimeCommand(socket, "show info; show stat -1 6 -1", options);
  const process = /^Pid: (\d+)$/m.exec(answer)?.[1] ?? "";
  const all = parseStatistics(answer.slice(Math.max(0, answer.indexOf("# pxname,"))));
  const rows: StatisticsRow[] = all
    .filter((row) => row.pxname === backend)
    .map((row) => ({ ...row, process }));
  if (rows.length === 0) {
    throw new OpsError("E_HAPROXY_BACKEND", `HAProxy at ${socket} has no backend "${backend}"`, {
      hint: 'correct the route\'s "backend" in .opsrc to the name of a "backend" section of haproxy.cfg',
      retryable: false,
    });
  }
  return rows.filter((row) => row.svname !== "BACKEND");
}

const answerColumns = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"] as const;

/** What HAProxy has counted for a server since it started, and its mean time to answer (milliseconds). */
export function countedOf(row: StatisticsRow) {
  const answered = answerColumns.reduce((total, column) => total + Number(row[column]), 0);
  return {
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
    /** Over about the last 1024 requests; null before the first one. */
    meanResponse: answered === 0 ? null : Number(row.rtime),
  };
}

/** The CSV of `show stat`. A value with a comma (a health check's text) stands in quotes. */
export function parseStatistics(csv: string): StatisticsRow[] {
  const [header, ...lines] = csv.split("\n").filter((line) => line !== "");
  if (header === undefined || !header.startsWith("# ")) return [];
  const columns = header.slice(2).split(",");
  return lines.map((line) => {
    const values = splitCsv(line);
    return Object.fromEntries(columns.map((column, index) => [column, values[index] ?? ""]));
  });
}

function splitCsv(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
  );
}
