import { setTimeout as delay } from "node:timers/promises";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";
import { type BackendState, readBackend } from "./backend-state.ts";
import { programPath } from "./configuration-file.ts";
import { openSocket, runtimeCommand } from "./runtime-socket.ts";
import { writeStateFile } from "./server-state.ts";

/** How HAProxy is told to read its configuration again. */
export type ReloadWay =
  | { readonly by: "command"; readonly command: readonly string[]; readonly directory: string }
  | { readonly by: "master-socket"; readonly socket: string };

export interface Reload {
  readonly way: ReloadWay;
  /** The runtime socket and the backend by which the new worker is known. */
  readonly socket: string;
  readonly backend: string;
  /** HAProxy's server-state-file; undefined: none is written. */
  readonly stateFile: string | undefined;
  readonly signal: AbortSignal;
}

/** Milliseconds that a new worker may take to answer. */
const patience = 15_000;

/**
 * Reloads HAProxy and waits until another worker answers at the runtime socket; the old one finishes its requests.
 * Where the new configuration does not come up, HAProxy itself goes on with the old worker. Throws `E_RELOAD_FAILED`.
 */
export async function reload({ way, socket, backend, stateFile, signal }: Reload): Promise<BackendState> {
  const { process: earlier } = await readBackend(socket, backend, { signal });
  if (stateFile !== undefined) await writeServerState(socket, stateFile, signal);
  if (way.by === "command") await runReload(way, signal);
  else await masterReload(way.socket, signal);
  const end = performance.now() + patience;
  for (;;) {
    await delay(50, undefined, { signal });
    const state = await readBackend(socket, backend, { signal, timeout: 1000 }).catch((error: unknown) => {
      // The socket changes hands.
      if (error instanceof OpsError && error.retryable) return undefined;
      throw error;
    });
    if (state !== undefined && state.process !== earlier) return state;
    if (performance.now() >= end) {
      throw new OpsError(
        "E_RELOAD_FAILED",
        `No new worker of HAProxy answered within ${formatDuration(patience)}`,
        {
          hint: "the old one goes on; see HAProxy's log for why the new one did not start",
        },
      );
    }
  }
}

/**
 * The servers that are not as haproxy.cfg begins with them (weight, maintenance, draining, down), in the form that HAProxy reads when it
 * starts. Of the others HAProxy reads haproxy.cfg alone: a line would also keep their old port (haproxy#3296). Throws `E_HAPROXY_STATE`.
 */
export async function writeServerState(socket: string, file: string, signal: AbortSignal): Promise<void> {
  const answer = await runtimeCommand(socket, "show servers state", { signal });
  await writeStateFile(file, changedServers(answer));
}

/** The lines of `show servers state` that hold something else than haproxy.cfg. */
export function changedServers(answer: string): string {
  const [version = "1", header = "", ...lines] = answer.split("\n").filter((line) => line !== "");
  const columns = header.replace(/^# /, "").split(" ");
  const running = "2";
  const kept = lines.filter((line) => {
    const values = line.split(" ");
    const value = (column: string) => values[columns.indexOf(column)] ?? "";
    const isConfigured = value("srv_uweight") === value("srv_iweight") && value("srv_admin_state") === "0";
    return !isConfigured || value("srv_op_state") !== running;
  });
  return [version, header, ...kept, ""].join("\n");
}

async function runReload(
  { command, directory }: Extract<ReloadWay, { by: "command" }>,
  signal: AbortSignal,
): Promise<void> {
  const [program = "", ...args] = command;
  const { exitCode, stderr, stdout } = await runProgram(program, args, {
    cwd: directory,
    env: programPath(),
    signal: AbortSignal.any([signal, AbortSignal.timeout(2 * patience)]),
  });
  if (exitCode === 0) return;
  const said = `${stderr}\n${stdout}`.split("\n").find((line) => line.trim() !== "");
  throw new OpsError(
    "E_RELOAD_FAILED",
    `${command.join(" ")} ended with ${exitCode}: ${said ?? "it said nothing"}`,
    {
      hint: "the old worker goes on; see HAProxy's log",
    },
  );
}

/** The master closes its socket when it reloads, from 2.7 after it has said how that went. */
async function masterReload(socket: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const answer = await new Promise<string>((resolve, reject) => {
    const connection = openSocket(socket);
    let text = "";
    const timer = setTimeout(() => connection.destroy(new Error("it does not answer")), patience);
    connection.setEncoding("utf8");
    // It answers one line after the other until our side is closed.
    connection.on("connect", () => connection.end("reload\n"));
    connection.on("data", (chunk: string) => {
      text += chunk;
    });
    connection.on("error", (error) => {
      // It may be gone before it has read that our side is closed.
      if ("code" in error && error.code === "ECONNRESET") return;
      reject(
        new OpsError("E_RELOAD_FAILED", `Cannot talk to HAProxy's master at ${socket}`, {
          cause: error,
          hint: 'start HAProxy with -W -S PATH, and name PATH as "master-socket" of the pool in .opsrc',
        }),
      );
    });
    connection.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
  if (/^Success=0/m.test(answer)) {
    const alert = answer.split("\n").find((line) => line.includes("ALERT"));
    throw new OpsError("E_RELOAD_FAILED", `HAProxy could not reload: ${alert?.trim() ?? "see its log"}`, {
      hint: "the old worker goes on",
    });
  }
  if (/Unknown command|Permission denied/.test(answer)) {
    throw new OpsError("E_RELOAD_FAILED", `What answers at ${socket} is not HAProxy's master socket`, {
      hint: 'start HAProxy with -W -S PATH, and name PATH as "master-socket" of the pool in .opsrc',
      retryable: false,
    });
  }
}
