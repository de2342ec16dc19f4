import type { HaproxyRouteTarget } from "../config/environment.ts";
import { suggestion } from "../core/suggestion.ts";
import { RuntimeMap } from "../haproxy/runtime-map.ts";
import { runtimeCommand } from "../haproxy/runtime-socket.ts";
import { readStateFile, serverState } from "../haproxy/server-state.ts";
import { serverStatistics } from "../haproxy/statistics.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

/** Whether the balancer answers, lets us change weights, and has the backend and servers of the configuration. */
export async function haproxyFinding(route: HaproxyRouteTarget, signal: AbortSignal): Promise<Finding> {
  const { name, socket, backend, versions, stateFile } = route;
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
    if (stateFile !== undefined) {
      const state = await serverState(socket, backend, Object.values(versions), { signal });
      // Without a file HAProxy has the configured weights, which is what an empty one says.
      const written = (await readStateFile(stateFile)) ?? state.split("\n").slice(0, 2).concat("").join("\n");
      if (written !== state) {
        const mend = "any set of the weights writes it: ops traffic shift";
        return warn(subject, `${stateFile} has not the weights of now: a reload brings back others`, mend);
      }
    }
    for (const map of [route.buckets, route.testers]) {
      if (map !== undefined) await new RuntimeMap(socket, map.map).requireKept(signal);
    }
    return ok(subject, `HAProxy ${release ?? ""} splits ${backend} between ${servers.join(", ")}`);
  } catch (error) {
    return missingBecause(subject, error, `start HAProxy, or correct "socket:" of ${place}`);
  }
}
