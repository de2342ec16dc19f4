import { connect, type Socket } from "node:net";
import { causeText, OpsError } from "../core/errors.ts";

export interface RuntimeCommandOptions {
  /** Milliseconds until the whole answer must be there. Default: 5 seconds. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

const defaultTimeout = 5000;

/**
 * One exchange over HAProxy's runtime socket (a path, `host:port`, or `[address]:port` of IPv6): sends a command, or several joined by `;`,
 * and returns the answer without its trailing blank lines. Success is an empty answer for commands that set
 * something; what HAProxy says in plain words (`No such server.`) is returned for the caller to judge.
 *
 * Throws `E_HAPROXY_SOCKET` where nothing answers, `E_HAPROXY_TIMEOUT`, `E_HAPROXY_PERMISSION` where the socket's
 * level forbids the command, `E_HAPROXY_COMMAND` where HAProxy does not know it, `E_NOT_HAPROXY` where
 * something else answers, and the signal's reason on abort.
 */
export async function runtimeCommand(
  socket: string,
  command: string,
  options: RuntimeCommandOptions = {},
): Promise<string> {
  const { signal, timeout = defaultTimeout } = options;
  signal?.throwIfAborted();
  const answer = await new Promise<string>((resolve, reject) => {
    const connection = openSocket(socket);
    let text = "";
    const timer = setTimeout(() => connection.destroy(timedOut(socket, command, timeout)), timeout);
    const onAbort = () => connection.destroy(asError(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    connection.setEncoding("utf8");
    connection.on("connect", () => connection.write(`${command}\n`));
    connection.on("data", (chunk: string) => {
      text += chunk;
    });
    connection.on("end", () => resolve(text));
    connection.on("error", (error) =>
      reject(error instanceof OpsError || signal?.aborted === true ? error : unreachable(socket, error)),
    );
    connection.on("close", () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    });
  });
  return understood(socket, command, answer);
}

/**
 * A command whose answer never ends (`show events requests -w -n`), line by line, until the signal aborts (the
 * loop then simply ends) or HAProxy closes the connection. Throws like `runtimeCommand`.
 */
export async function* runtimeLines(
  socket: string,
  command: string,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  if (signal.aborted) return;
  const connection = openSocket(socket);
  const onAbort = () => connection.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  connection.setEncoding("utf8");
  connection.on("connect", () => connection.write(`${command}\n`));
  let rest = "";
  try {
    for await (const chunk of connection) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    if (!signal.aborted) throw error instanceof OpsError ? error : unreachable(socket, error);
  } finally {
    signal.removeEventListener("abort", onAbort);
    connection.destroy();
  }
}

export function openSocket(socket: string): Socket {
  const {
    v6,
    host = v6,
    port,
  } = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<host>[\w.-]+)):(?<port>\d+)$/.exec(socket)?.groups ?? {};
  return host === undefined ? connect({ path: socket }) : connect({ host, port: Number(port) });
}

function understood(socket: string, command: string, answer: string): string {
  const text = answer.trimEnd();
  if (answer === "") {
    throw new OpsError("E_HAPROXY_SOCKET", `${socket} closed the connection without an answer`, {
      hint: "see whether HAProxy runs and this is its stats socket: ops doctor",
    });
  }
  if (/^(HTTP\/\d|<)/.test(text)) {
    throw new OpsError("E_NOT_HAPROXY", `What answers at ${socket} is not HAProxy's runtime socket`, {
      hint: 'set the route\'s "socket" to the path or address of a "stats socket" line of haproxy.cfg',
      retryable: false,
    });
  }
  if (/^Permission denied/m.test(text)) {
    throw new OpsError("E_HAPROXY_PERMISSION", `HAProxy does not allow "${command}" on ${socket}`, {
      hint: "give the socket the rights in haproxy.cfg: stats socket … level admin",
      retryable: false,
    });
  }
  if (/^Unknown command/.test(text)) {
    throw new OpsError("E_HAPROXY_COMMAND", `HAProxy at ${socket} does not know the command "${command}"`, {
      hint: "ops needs HAProxy 2.4 or later: haproxy -v",
      retryable: false,
    });
  }
  return text;
}

function timedOut(socket: string, command: string, timeout: number): OpsError {
  return new OpsError(
    "E_HAPROXY_TIMEOUT",
    `HAProxy at ${socket} did not answer "${command}" in ${timeout} ms`,
    {
      hint: "see whether HAProxy is overloaded or this is another program's socket: ops doctor",
    },
  );
}

function unreachable(socket: string, cause: unknown): OpsError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const [what, hint] =
    code === "ENOENT"
      ? ["there is no such socket", 'start HAProxy, or correct the route\'s "socket" in .opsrc']
      : code === "EACCES" || code === "EPERM"
        ? [
            "this user may not open it",
            "run as its owner, or set user, group and mode on the stats socket line",
          ]
        : code === "ECONNREFUSED"
          ? ["nothing listens there", "start HAProxy: haproxy -W -f /etc/haproxy/haproxy.cfg"]
          : [causeText(cause) ?? "the connection broke", "see what is wrong with: ops doctor"];
  return new OpsError("E_HAPROXY_SOCKET", `Cannot talk to HAProxy at ${socket}: ${what}`, { cause, hint });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
