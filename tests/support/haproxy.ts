import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { type Agent, createServer, get, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runtimeCommand } from "../../src/haproxy/runtime-socket.ts";
import { freePort } from "../../src/process/free-port.ts";
import { keepingAgent } from "./load.ts";

/** A small version of an application that can be told to misbehave. */
export class Backend implements AsyncDisposable {
  readonly name: string;
  /** Milliseconds before each answer. */
  latency = 2;
  /** Every n-th request is answered with status 500; 0: none. */
  failEvery = 0;
  /** Whose requests are answered with status 500, by their cookies. */
  failsFor: (cookies: string) => boolean = () => false;
  /** `empty`: takes the request and hangs up; `silent`: never answers. */
  mode: "answer" | "empty" | "silent" = "answer";
  healthy = true;
  port = 0;
  private requests = 0;
  private held: ServerResponse[] = [];
  private server: Server | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      if (request.url === "/health") {
        response.statusCode = this.healthy ? 200 : 503;
        response.end();
        return;
      }
      this.requests += 1;
      if (this.mode === "silent") {
        this.held.push(response);
        return;
      }
      if (this.mode === "empty") {
        request.socket.destroy();
        return;
      }
      const isTurn = this.failEvery > 0 && this.requests % this.failEvery === 0;
      response.statusCode = isTurn || this.failsFor(request.headers.cookie ?? "") ? 500 : 200;
      setTimeout(() => response.end(this.name), this.latency);
    });
    // A connection that ended while a request is on its way would count as a failure: HAProxy sends that once more.
    server.keepAliveTimeout = 0;
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  /** Requests that it has received. */
  get received(): number {
    return this.requests;
  }

  get isHolding(): boolean {
    return this.held.length > 0;
  }

  /** Answers at last what it was silent about. */
  release(): void {
    for (const response of this.held.splice(0)) response.end(this.name);
  }

  /** As a process that dies: no listening socket, all connections gone. */
  async kill(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

export interface BalancerOptions {
  /** Lines for the backend section: `retry-on …`, `option redispatch`. */
  readonly backendLines?: readonly string[];
  /** For the server lines. Default: fast health checks. */
  readonly check?: string;
  /** Where to write `option httplog` lines, in the balancer's folder; default: nowhere. */
  readonly logFile?: string;
  /** Where HAProxy's own metrics for Prometheus answer, at /metrics; default: nowhere. */
  readonly metricsPort?: number;
  /** A master process, which reloads by itself; otherwise a new process takes over from the old one. */
  readonly master?: boolean;
  /**
   * Users by buckets (the cookie `uid`, else the address) and testers (header `x-tester`, cookie `tester`), as docs/canary.md
   * has them; the maps lie in `directory`.
   */
  readonly people?: "buckets and testers";
  /** Who answers for blue and green; HAProxy itself is as fast as it can be asked. Default: small servers of the test. */
  readonly answeredBy?: "haproxy";
}

/** How many buckets the users of a balancer with people are hashed into. */
export const bucketCount = 1000;

/** A real HAProxy in front of two backends, blue (100) and green (0), with a ring of request times. */
export class Balancer implements AsyncDisposable {
  readonly blue = new Backend("blue");
  readonly green = new Backend("green");
  directory = "";
  socket = "";
  port = 0;
  private child: ChildProcess | undefined;
  /** Those of before a reload, which end with their last connection. */
  private readonly leaving: ChildProcess[] = [];
  private options: BalancerOptions = {};
  private log: WriteStream | undefined;

  async start(options: BalancerOptions = {}): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "ops-lb-"));
    this.socket = join(this.directory, "s");
    this.port = await freePort();
    this.options = options;
    if (options.answeredBy === "haproxy") {
      [this.blue.port, this.green.port] = [await freePort(), await freePort()];
    } else await Promise.all([this.blue.start(), this.green.start()]);
    if (options.people !== undefined) {
      const lines = Array.from({ length: bucketCount }, (_, bucket) => `${bucket} blue\n`);
      await writeFile(join(this.directory, "web.buckets"), lines.join(""));
      await writeFile(join(this.directory, "web.testers"), "");
    }
    await this.run();
  }

  /** Starts the process with these weights, as a state file would give them. */
  async run(weights = { blue: 100, green: 0 }): Promise<void> {
    await writeFile(join(this.directory, "haproxy.cfg"), this.configuration(weights));
    await this.spawn(this.options.master === true ? ["-W"] : []);
  }

  /** As `systemctl reload` does, with the configuration of the start: the weights that it has are those of the start. */
  async reload(): Promise<void> {
    const { child } = this;
    const worker = await this.worker();
    if (child?.pid === undefined || worker === undefined) throw new Error("haproxy does not run");
    if (this.options.master === true) child.kill("SIGUSR2");
    else {
      this.leaving.push(child);
      await this.spawn(["-sf", String(child.pid)]);
    }
    for (let attempt = 0; ; attempt += 1) {
      const now = await this.worker();
      if (now !== undefined && now !== worker) return;
      if (attempt > 100) throw new Error("haproxy did not reload");
      await delay(50);
    }
  }

  /** The process id of the one that works; undefined where none answers. */
  private async worker(): Promise<string | undefined> {
    const info = await runtimeCommand(this.socket, "show info").catch(() => "");
    return /^Pid: (\d+)$/m.exec(info)?.[1];
  }

  private async spawn(options: readonly string[]): Promise<void> {
    const child = spawn("haproxy", [...options, "-db", "-f", join(this.directory, "haproxy.cfg")], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    const { logFile } = this.options;
    let said = "";
    child.stderr.on("data", (chunk) => (said += String(chunk)));
    if (logFile === undefined) child.stdout.resume();
    else {
      this.openLog();
      child.stdout.on("data", (chunk) => this.log?.write(chunk));
    }
    await once(child, "spawn");
    for (let attempt = 0; ; attempt += 1) {
      if (child.exitCode !== null || attempt > 100) throw new Error(`haproxy did not start: ${said}`);
      const stat = await runtimeCommand(this.socket, "show stat web 4 -1").catch(() => "");
      if (!stat.includes("DOWN") && (stat.match(/L7OK/g) ?? []).length === 2) return;
      await delay(50);
    }
  }

  /** As logrotate and the syslog daemon do: moves the log away and opens a new one. */
  async rotateLog(): Promise<void> {
    const file = join(this.directory, this.options.logFile ?? "");
    await rename(file, `${file}.1`);
    await delay(200);
    this.openLog();
  }

  private openLog(): void {
    this.log?.end();
    this.log = createWriteStream(join(this.directory, this.options.logFile ?? ""), { flags: "a" });
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    this.log?.end();
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    // A killed master would leave its worker.
    child.kill(this.options.master === true ? "SIGTERM" : "SIGKILL");
    await exited;
  }

  /** As `.opsrc` would name it. */
  settings(extra: object = { "request-ring": "requests" }): object {
    const route = {
      socket: this.socket,
      backend: "web",
      versions: { blue: "blue", green: "green" },
      ...(this.options.people && {
        buckets: { map: join(this.directory, "web.buckets"), count: bucketCount },
        testers: { map: join(this.directory, "web.testers"), backend: "web-testers" },
      }),
      ...extra,
    };
    return { routes: { web: route } };
  }

  /** Where the configuration looks for the state of the servers. */
  get stateFile(): string {
    return join(this.directory, "web.state");
  }

  async weights(): Promise<{ blue: number; green: number }> {
    const weight = async (server: string) =>
      Number.parseInt(await runtimeCommand(this.socket, `get weight web/${server}`), 10);
    return { blue: await weight("blue"), green: await weight("green") };
  }

  async isUp(server: string): Promise<boolean> {
    const statistics = await runtimeCommand(this.socket, "show stat web 4 -1");
    return new RegExp(`^web,${server},.*,UP,`, "m").test(statistics);
  }

  async setWeight(server: string, weight: number): Promise<void> {
    await runtimeCommand(this.socket, `set weight web/${server} ${weight}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (const child of this.leaving) child.kill("SIGKILL");
    await Promise.all([this.blue.kill(), this.green.kill()]);
    await rm(this.directory, { recursive: true, force: true });
  }

  private configuration(weights: { blue: number; green: number }): string {
    const { backendLines = [], check = "check inter 200ms fall 2 rise 1", logFile } = this.options;
    const { people, answeredBy, metricsPort } = this.options;
    const { front, back, section } = people === undefined ? nobody : peopleLines(this.directory);
    return `global
  stats socket ${this.socket} level admin mode 600
  stats socket ${this.socket}-user level user mode 600
  maxconn 1000
  server-state-base ${this.directory}
ring requests
  format raw
  maxlen 1200
  size 262144
defaults
  mode http
  timeout connect 500ms
  timeout client 5s
  timeout server 5s
frontend public
  bind 127.0.0.1:${this.port}
${logFile === undefined ? ringLines : fileLines}${front}  default_backend web
${metricsPort === undefined ? "" : metricsLines(metricsPort)}${answeredBy === "haproxy" ? [this.blue, this.green].map(answering).join("") : ""}${section(this.blue.port, this.green.port)}backend web
  balance roundrobin
  option httpchk GET /health
  load-server-state-from-file local
  server-state-file-name web.state
${back}${backendLines.map((line) => `  ${line}\n`).join("")}  server blue 127.0.0.1:${this.blue.port} weight ${weights.blue} ${check}
  server green 127.0.0.1:${this.green.port} weight ${weights.green} ${check}
`;
  }
}

const answering = ({ name, port }: Backend) => `frontend ${name}
  bind 127.0.0.1:${port}
  http-request return status 200 content-type text/plain string ${name}
`;
const ringLines = `  log ring@requests len 1024 local0
  log-format "%b %s %ST %Ta"
`;
const metricsLines = (port: number) => `frontend metrics
  bind 127.0.0.1:${port}
  http-request use-service prometheus-exporter if { path /metrics }
`;
const fileLines = `  log stdout format raw local0
  option httplog
`;
const nobody = { front: "", back: "", section: () => "" };

/** As docs/canary.md tells users to write them. */
function peopleLines(directory: string) {
  const testers = `map(${join(directory, "web.testers")})`;
  return {
    front: `  http-request set-var(txn.tester) req.hdr(X-Tester),${testers}
  http-request set-var(txn.tester) req.cook(tester),${testers} unless { var(txn.tester) -m found }
  use_backend web-testers if { var(txn.tester) -m found }
`,
    back: `  http-request set-var(txn.bucket) req.cook(uid),xxh32,mod(${bucketCount}) if { req.cook(uid) -m found }
  http-request set-var(txn.bucket) src,xxh32,mod(${bucketCount}) unless { var(txn.bucket) -m found }
  http-request set-var(txn.server) var(txn.bucket),map(${join(directory, "web.buckets")})
  use-server %[var(txn.server)] if { var(txn.server) -m found }
`,
    section: (blue: number, green: number) => `backend web-testers
  use-server %[var(txn.tester)] if { always_true }
  server blue 127.0.0.1:${blue} track web/blue
  server green 127.0.0.1:${green} track web/green
`,
  };
}

export async function startBalancer(options: BalancerOptions = {}): Promise<Balancer> {
  const balancer = new Balancer();
  try {
    await balancer.start(options);
    return balancer;
  } catch (error) {
    await balancer[Symbol.asyncDispose]();
    throw error;
  }
}

export interface LoadReport {
  readonly requests: number;
  /** Answers that were not 200, and requests without an answer. */
  readonly failed: number;
  /** Answers of each backend. */
  readonly answers: Readonly<Record<string, number>>;
}

/** Requests through the balancer, over kept-alive connections, until it is stopped. */
export class Load implements AsyncDisposable {
  private readonly port: number;
  private readonly users: number;
  private readonly agent: Agent;
  private readonly workers: Promise<void>[];
  private turn = 0;
  private stopped = false;
  private requests = 0;
  private failed = 0;
  private readonly answers: Record<string, number> = {};

  /**
   * @param pause milliseconds between two requests of one connection
   * @param users how many different ones take turns, each with a cookie `uid`; 0: without one
   */
  constructor(port: number, connections = 8, pause = 5, users = 0) {
    this.port = port;
    this.users = users;
    this.agent = keepingAgent(connections);
    this.workers = Array.from({ length: connections }, () => this.work(pause));
  }

  async stop(): Promise<LoadReport> {
    this.stopped = true;
    await Promise.all(this.workers);
    this.agent.destroy();
    return { requests: this.requests, failed: this.failed, answers: this.answers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private async work(pause: number): Promise<void> {
    while (!this.stopped) {
      this.turn += 1;
      const user: Record<string, string> =
        this.users === 0 ? {} : { cookie: `uid=user-${(this.turn * 7) % this.users}` };
      const answer = await request(this.port, this.agent, "/", user);
      this.requests += 1;
      if (answer.status !== 200) this.failed += 1;
      this.answers[answer.body] = (this.answers[answer.body] ?? 0) + 1;
      await delay(pause);
    }
  }
}

/** Status 0 where there was no answer. */
export function request(
  port: number,
  agent?: Agent,
  path = "/",
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const none = () => resolve({ status: 0, body: "" });
    const where = { host: "127.0.0.1", port, path, agent, headers, timeout: 6000 };
    const outgoing = get(where, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", none);
    });
    outgoing.on("timeout", () => outgoing.destroy());
    outgoing.on("error", none);
  });
}

/** Never one that an outgoing connection may get before it is used. */
export { freePort };
