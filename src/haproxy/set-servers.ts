import { OpsError } from "../core/errors.ts";
import { type AdminState, type BackendState, readBackend, type ServerState } from "./backend-state.ts";
import { type RuntimeCommandOptions, runtimeCommand } from "./runtime-socket.ts";

/** What is set of a server; the rest stays as it is. */
export type ServerSetting = { admin?: AdminState; weight?: number };

/** Server → what it should have. */
export type ServerSettings = { [server: string]: ServerSetting };

/**
 * Sets weights and states of servers, then reads them back. Whatever gives a server more comes first, and the rest only
 * where that was taken (a static algorithm takes the weight 0 and little else): a pool is at no moment without servers.
 * Safe to call again. Throws `E_HAPROXY_REFUSED` where HAProxy does not take a command, and
 * `E_SERVER_NOT_SET` where it has something else afterwards.
 */
export async function setServers(
  socket: string,
  backend: string,
  wanted: ServerSettings,
  options: RuntimeCommandOptions = {},
): Promise<BackendState> {
  const present = await readBackend(socket, backend, options);
  const { gives, takes } = commandsFor(backend, present, wanted);
  if (gives.length + takes.length === 0) return present;
  for (const commands of [gives, takes]) {
    if (commands.length === 0) continue;
    const answer = await runtimeCommand(socket, commands.join("; "), options);
    if (answer === "") continue;
    const text = answer.split("\n").find((line) => line !== "");
    throw new OpsError("E_HAPROXY_REFUSED", `HAProxy refused to work on ${backend}: ${text}`, {
      hint: "see whether the server still exists, and its weights with this strategy: ops pool show",
      retryable: false,
    });
  }
  const after = await readBackend(socket, backend, options);
  const { gives: ungiven, takes: untaken } = commandsFor(backend, after, wanted);
  const wrong = [...ungiven, ...untaken];
  if (wrong.length > 0) {
    throw new OpsError(
      "E_SERVER_NOT_SET",
      `HAProxy did not keep what was set of ${backend}: ${wrong.join("; ")}`,
      {
        hint: "see who else changes it: ops pool show",
        details: { wanted },
      },
    );
  }
  return after;
}

/** Pure. Empty where everything is as wanted. */
export function commandsFor(
  backend: string,
  present: BackendState,
  wanted: ServerSettings,
): { readonly gives: readonly string[]; readonly takes: readonly string[] } {
  const gives: string[] = [];
  const takes: string[] = [];
  for (const server of present.servers) {
    const { admin = server.admin, weight = server.weight } = wanted[server.name] ?? {};
    if (weight !== server.weight) {
      const command = `set weight ${backend}/${server.name} ${weight}`;
      // A weight that a server gets before it is ready takes nothing from anybody.
      (weight > server.weight || (admin === "ready" && server.admin !== "ready") ? gives : takes).push(
        command,
      );
    }
    if (admin !== server.admin) {
      (admin === "ready" ? gives : takes).push(...stateCommands(`${backend}/${server.name}`, server, admin));
    }
  }
  return { gives, takes };
}

/**
 * HAProxy takes a server that leaves maintenance for well, and sends it requests before the first health check: so its
 * checks begin while it drains, from "down".
 */
function stateCommands(path: string, { admin, checked }: ServerState, wanted: AdminState): string[] {
  const set = `set server ${path}`;
  if (admin !== "maint" || wanted === "maint" || !checked) return [`${set} state ${wanted}`];
  const careful = [`${set} state drain`, `${set} health down`];
  return wanted === "drain" ? careful : [...careful, `${set} state ready`];
}
