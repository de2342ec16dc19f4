import { readFile } from "node:fs/promises";
import { causeText, OpsError } from "../core/errors.ts";
import { withFileLock } from "../process/file-lock.ts";
import { replaceFile } from "../process/replace-file.ts";
import { type RuntimeCommandOptions, runtimeCommand } from "./runtime-socket.ts";

/**
 * The text of a server-state file that gives these servers of a backend, after a reload, the weights that they have now; of nothing else HAProxy
 * remembers more than without the file. A server whose weight is the configured one is left out: its line would also keep
 * its port, whatever haproxy.cfg says by then (haproxy#3296).
 */
export async function serverState(
  socket: string,
  backend: string,
  servers: readonly string[],
  options: RuntimeCommandOptions = {},
): Promise<string> {
  const answer = await runtimeCommand(socket, `show servers state ${backend}`, options);
  const [version = "", header = "", ...lines] = answer.split("\n").filter((line) => line !== "");
  const columns = header.replace(/^# /, "").split(" ");
  if (version !== "1" || !neededColumns.every((name, index) => columns[index] === name)) {
    throw new OpsError(
      "E_HAPROXY_STATE",
      `HAProxy at ${socket} tells the state of its servers in another form`,
      {
        hint: 'take "state-file" out of the route in .opsrc, and see docs/balancers.md about reloads',
        details: { version, header },
        retryable: false,
      },
    );
  }
  const kept = lines.flatMap((line) => {
    const values = line.split(" ");
    const value = (name: (typeof neededColumns)[number]) => values[neededColumns.indexOf(name)] ?? "";
    if (!servers.includes(value("srv_name"))) return [];
    if (value("srv_uweight") === value("srv_iweight")) return [];
    return [neededColumns.map((name) => neutral[name] ?? value(name)).join(" ")];
  });
  return [version, `# ${neededColumns.join(" ")}`, ...kept, ""].join("\n");
}

/** Those of version 1 that no line may lack, in their order. */
const neededColumns = [
  "be_id",
  "be_name",
  "srv_id",
  "srv_name",
  "srv_addr",
  "srv_op_state",
  "srv_admin_state",
  "srv_uweight",
  "srv_iweight",
  "srv_time_since_last_change",
  "srv_check_status",
  "srv_check_result",
  "srv_check_health",
  "srv_check_state",
  "srv_agent_state",
  "bk_f_forced_id",
  "srv_f_forced_id",
  "srv_fqdn",
  "srv_port",
  "srvrecord",
] as const;

/** As HAProxy begins without a file: running, nothing known of its checks, nobody's maintenance. */
const neutral: Partial<Record<(typeof neededColumns)[number], string>> = {
  srv_op_state: "2",
  srv_admin_state: "0",
  srv_time_since_last_change: "1",
  srv_check_status: "1",
  srv_check_result: "0",
  srv_check_health: "0",
  srv_check_state: "0",
  srv_agent_state: "0",
};

/** Undefined where there is none. */
export async function readStateFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw stateNotKept(path, error);
  }
}

/** Milliseconds that others may take to write the same file. */
const patience = 5000;

/**
 * Writes the state file of a backend anew, with the weights of now. The last of several has seen what the others changed. Throws
 * `E_HAPROXY_STATE`.
 */
export async function keepServerState(
  file: string,
  of: { readonly socket: string; readonly backend: string; readonly servers: readonly string[] },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { socket, backend, servers } = of;
  await withFileLock(`${file}.lock`, { patience, signal }, async () =>
    writeStateFile(file, await serverState(socket, backend, servers, { signal })),
  ).catch((error: unknown) => {
    if (error instanceof OpsError && error.code === "E_FILE_LOCK") throw stateNotKept(file, error);
    throw error;
  });
}

/** Written whole, and only where it has another text. Throws `E_HAPROXY_STATE`. */
export async function writeStateFile(path: string, text: string): Promise<void> {
  if ((await readStateFile(path)) === text) return;
  try {
    await replaceFile(path, text);
  } catch (error) {
    throw stateNotKept(path, error);
  }
}

export function stateNotKept(path: string, cause: unknown): OpsError {
  return new OpsError(
    "E_HAPROXY_STATE",
    `The weights are set, but the state file ${path} is not: a reload of HAProxy would bring back others`,
    {
      cause: causeText(cause),
      hint: "let this user read and replace the file, and make files in its folder",
    },
  );
}
