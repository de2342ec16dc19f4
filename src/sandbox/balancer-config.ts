import { UsageError } from "../core/errors.ts";
import type { SandboxPorts } from "./description.ts";
import type { SandboxLayout } from "./layout.ts";

/**
 * A UNIX socket's path has at most 107 bytes, and HAProxy binds `<path>.<pid>.tmp` first, with a pid of up to seven
 * digits.
 */
const longestSocketPath = 107 - ".1234567.tmp".length;

export const initialWeights = { blue: 100, green: 0 } as const;

/** Throws `E_SANDBOX_DIRECTORY` where HAProxy's runtime socket would get too long a path. */
export function checkSocketPath(layout: SandboxLayout): void {
  const length = Buffer.byteLength(layout.balancerSocket);
  if (length > longestSocketPath) {
    throw new UsageError(
      "E_SANDBOX_DIRECTORY",
      `The path of HAProxy's socket, ${layout.balancerSocket}, has ${length} bytes; at most ${longestSocketPath} work`,
      { hint: "name a folder with a shorter path: ops sandbox up --dir /tmp/sandbox" },
    );
  }
  if (/[\s"'\\#$]/.test(layout.balancerSocket)) {
    throw new UsageError(
      "E_SANDBOX_DIRECTORY",
      `The path ${layout.directory} holds a character that HAProxy's configuration does not take`,
      { hint: "name a folder without spaces and quotes: ops sandbox up --dir /tmp/sandbox" },
    );
  }
}

/** Also the recommended shape of a real haproxy.cfg: the comments say what `ops` needs of it. */
export function balancerConfig(layout: SandboxLayout, ports: SandboxPorts): string {
  return `# HAProxy of an ops sandbox. What ops needs in a configuration of your own is marked "ops:".

global
  # ops: weights are set and counters are read over this socket; "level admin" allows the setting.
  stats socket ${layout.balancerSocket} mode 600 level admin
  # ops: long enough for whoever follows the requests of a canary.
  stats timeout 1h

# ops: the newest requests, one line each, held in memory and read over the socket
# (show events requests -w -n). HAProxy itself counts no percentiles: p95 limits are computed from these lines.
ring requests
  format raw
  maxlen 256
  size 1048576

defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 10s
  timeout http-keep-alive 10s
  timeout queue 5s
  # A request that reached no server is sent again, in the end to another one. A failure hidden in this way still
  # counts against the canary: ops reads wretr and wredis beside 5xx.
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response

frontend web
  bind 127.0.0.1:${ports.web}
  # ops: "<backend> <server> <status> <total milliseconds>", exactly so.
  log ring@requests format raw local0
  log-format "%b %s %ST %Ta"
  default_backend web

backend web
  # ops: an algorithm whose weights may change at run time: roundrobin, leastconn or random.
  balance roundrobin
  # ops: health checks, so that a canary that is DOWN is seen.
  option httpchk GET /health
  default-server check inter 500ms fall 2 rise 1
  server blue 127.0.0.1:${ports.blue} weight ${initialWeights.blue}
  server green 127.0.0.1:${ports.green} weight ${initialWeights.green}

frontend statistics
  bind 127.0.0.1:${ports.statistics}
  stats enable
  stats uri /
  stats refresh 2s
`;
}
