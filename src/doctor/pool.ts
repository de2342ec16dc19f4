import type { Environment } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { readBackend } from "../haproxy/backend-state.ts";
import { readConfiguration } from "../haproxy/configuration-file.ts";
import { findOwnedSection } from "../haproxy/owned-section.ts";
import { runtimeCommand } from "../haproxy/runtime-socket.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

/** Whether the pool's HAProxy answers, lets us change servers, and has the section that ops writes. */
export async function poolFinding(
  environment: Environment,
  name: string,
  signal: AbortSignal,
): Promise<Finding> {
  const subject = `pool ${name}`;
  const place = `"pools: ${name}:" in .opsrc`;
  try {
    const { socket, backend, configuration } = environment.pool(name);
    const level = (await runtimeCommand(socket, "show cli level", { signal })).trim();
    if (level !== "admin") {
      const mend = 'write "level admin" on its "stats socket" line of haproxy.cfg and reload HAProxy';
      return missing(subject, `the socket has the level ${level}: it may not change servers`, mend);
    }
    const { servers } = await readBackend(socket, backend, { signal });
    const has = `HAProxy has ${counted(servers.length, "server")} in ${backend}`;
    if (configuration === undefined) return ok(subject, has);
    findOwnedSection(await readConfiguration(configuration.file), configuration.file, name, backend);
    if (configuration.stateFile === undefined) {
      const mend = `name HAProxy's server-state-file as "state-file" in the configuration of ${place}`;
      return warn(subject, `${has}; a reload would lose weights and states that were set at run time`, mend);
    }
    return ok(subject, `${has}, and ${configuration.file} a section for ops`);
  } catch (error) {
    return missingBecause(subject, error, `start HAProxy, or correct "socket:" of ${place}`);
  }
}
