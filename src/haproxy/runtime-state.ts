import { runtimeCommand } from "./runtime-socket.ts";

/** What was changed of a server while HAProxy ran, as a reload without a state file would lose it. */
export interface RuntimeChange {
  /** `backend/server` */
  readonly server: string;
  /** For a person: `weight 10 instead of 100`, `draining`. */
  readonly shown: string;
  /** Commands of the runtime socket that make it so again. */
  readonly commands: readonly string[];
}

/** Bits of `srv_admin_state`: maintenance by a person, by haproxy.cfg, draining by a person. */
const [forcedMaintenance, configuredMaintenance, forcedDrain] = [0x01, 0x04, 0x08];

/** Of all servers of all backends. */
export async function runtimeChanges(socket: string, signal: AbortSignal): Promise<RuntimeChange[]> {
  const answer = await runtimeCommand(socket, "show servers state", { signal });
  return parseRuntimeChanges(answer);
}

/** The answer to `show servers state`: a version, a line of column names after `# `, a line for each server. */
export function parseRuntimeChanges(answer: string): RuntimeChange[] {
  const lines = answer.split("\n").filter((line) => line.includes(" "));
  const columns = (lines[0] ?? "").replace(/^# /, "").split(" ");
  return lines.slice(1).flatMap((line) => {
    const values = line.split(" ");
    const value = (column: string) => values[columns.indexOf(column)] ?? "";
    const server = `${value("be_name")}/${value("srv_name")}`;
    const bits = Number(value("srv_admin_state"));
    const [weight, configured] = [value("srv_uweight"), value("srv_iweight")];
    const isMaintained = (bits & forcedMaintenance) !== 0;
    const wasConfigured = (bits & configuredMaintenance) !== 0;
    const found: { shown: string; command: string }[] = [];
    if (weight !== configured) {
      found.push({
        shown: `weight ${weight} instead of ${configured}`,
        command: `set weight ${server} ${weight}`,
      });
    }
    if (isMaintained !== wasConfigured) {
      const state = isMaintained ? "maint" : "ready";
      const shown = isMaintained ? "in maintenance" : "taken out of maintenance";
      found.push({ shown, command: `set server ${server} state ${state}` });
    }
    if ((bits & forcedDrain) !== 0) {
      found.push({ shown: "draining", command: `set server ${server} state drain` });
    }
    if (found.length === 0) return [];
    const shown = found.map((each) => each.shown).join(", ");
    return [{ server, shown, commands: found.map((each) => each.command) }];
  });
}
