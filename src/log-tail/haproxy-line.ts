import type { Attempt, LineFormat } from "./logged-request.ts";

/**
 * What `option httplog` and `option httpslog` write, behind whatever syslog puts in front: frontend, backend/server, the five times,
 * status, bytes, two cookies, termination state, connections and retries (HAProxy's configuration manual, 8.2.3).
 */
const pattern =
  / (?<backend>[^\s/]+)\/(?<server>\S+) -?\d+\/-?\d+\/-?\d+\/-?\d+\/\+?(?<total>-?\d+) (?<status>-?\d+) \+?\d+ \S+ \S+ (?<ended>[\w-]{4}) \d+\/\d+\/\d+\/\d+\/(?<moved>\+?)(?<retries>\d+) \d+\/\d+ /;

/** Lines of one backend; of all of them where none is named. */
export function haproxyLines(backend: string | undefined): LineFormat {
  return (line) => {
    const found = pattern.exec(line)?.groups;
    if (found === undefined) return "unknown";
    const { server = "", total, status, ended = "", moved, retries } = found;
    if (backend !== undefined && found.backend !== backend) return "other";
    // "<NOSRV>": refused or answered before a server was chosen; "<STATS>" and the like.
    if (server.startsWith("<")) return "other";
    const attempt: Attempt = {
      place: server,
      status: Number(status) > 0 ? Number(status) : undefined,
      broken: brokenBy(ended),
      retries: moved === "+" ? 0 : Number(retries),
    };
    // With "+" the last try went to another server than those before it.
    return {
      attempts: [attempt],
      movedHere: moved === "+",
      time: Number(total) < 0 ? undefined : Number(total),
    };
  };
}

/** The first letter of the termination state says who ended the session before its time. */
function brokenBy(ended: string): Attempt["broken"] {
  const [who = "-"] = ended;
  if (who === "S" || who === "s") return "by-server";
  return who === "C" || who === "c" ? "by-client" : undefined;
}
