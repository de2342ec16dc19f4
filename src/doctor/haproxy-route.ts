import type { HaproxyRouteTarget } from "../config/environment.ts";
import { suggestion } from "../core/suggestion.ts";
import { runtimeCommand } from "../haproxy/runtime-socket.ts";
import { serverStatistics } from "../haproxy/statistics.ts";
import { type Finding, missing, missingBecause, ok } from "./finding.ts";

/** Whether the balancer answers, lets us change weights, and has the backend and servers of the configuration. */
export async function haproxyFinding(route: HaproxyRouteTarget, signal: AbortSignal): Promise<Finding> {
  const { name, socket, backend, versions } = route;
  const subject = `route ${name}`;
  const place = `"routes: ${name}:" in .opsrc`;
  try {
    const release = /^Version: (\S+)/m.exec(await runtimeCommand(socket, "show info", { signal }))?.[1];
    const level = (await runtimeCommand(socket, "show cli level", { signal })).trim();
    if (level !== "admin") {
      const mend = 'write "level admin" on its "stats socket" line of haproxy.cfg and reload HAProxy';
      return missing(subject, `the socket has the level ${level}: it may not change weights`, mend);
    }
    const servers = (await serverStatistics(socket, backend, { signal })).map((each) => each.svname ?? "");
    const absent = Object.entries(versions).filter(([, server]) => !servers.includes(server));
    if (absent.length > 0) {
      const list = absent.map(([version, server]) => `"${server}" (version ${version})`).join(", ");
      const hint = suggestion(absent[0]?.[1] ?? "", servers);
      const mend = `correct "versions:" of ${place}: ${hint}`;
      return missing(subject, `the backend ${backend} has no server ${list}`, mend);
    }
    return ok(subject, `HAProxy ${release ?? ""} splits ${backend} between ${servers.join(", ")}`);
  } catch (error) {
    return missingBecause(subject, error, `start HAProxy, or correct "socket:" of ${place}`);
  }
}
