import { spawn } from "node:child_process";
import { once } from "node:events";

export interface WrkReport {
  readonly requests: number;
  /** Those, and connections that could not be made, read or written in time. */
  readonly failed: number;
  /** Answers outside 2xx and 3xx. */
  readonly answers: number;
}

export interface Wrk {
  /** Resolves at the end of its time. */
  readonly report: Promise<WrkReport>;
  /** Ends it now, before its time. */
  stop(): Promise<WrkReport>;
}

/** Debian's `wrk` at full load over kept-alive connections: as many requests as the machine can do. */
export function startWrk(url: string, seconds: number, connections = 50): Wrk {
  const child = spawn("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "5s", url], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const report = once(child, "close").then(() => parseWrk(said));
  return {
    report,
    stop: () => {
      // It tells its counts then, too.
      child.kill("SIGINT");
      return report;
    },
  };
}

/** Throws where wrk said something else than its report. */
export function parseWrk(said: string): WrkReport {
  const requests = /(\d+) requests in /.exec(said)?.[1];
  if (requests === undefined) throw new Error(`wrk did not report: ${said}`);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(said) ?? [];
  const connections = socket.slice(1).reduce((total, each) => total + Number(each), 0);
  const answers = Number(/Non-2xx or 3xx responses: (\d+)/.exec(said)?.[1] ?? 0);
  return { requests: Number(requests), failed: connections + answers, answers };
}
