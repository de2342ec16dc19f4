import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readBackend } from "../../src/haproxy/backend-state.ts";
import { runtimeCommand } from "../../src/haproxy/runtime-socket.ts";
import { freePort } from "../../src/process/free-port.ts";
import { Backend } from "./haproxy.ts";

const names = ["a", "b", "c"] as const;

/** A real HAProxy as master and worker, in front of three servers a, b and c of backend "web", with a section of ops. */
export class PoolBalancer implements AsyncDisposable {
  readonly servers = { a: new Backend("a"), b: new Backend("b"), c: new Backend("c") };
  directory = "";
  socket = "";
  port = 0;
  private child: ChildProcess | undefined;
  private said = "";

  get file(): string {
    return join(this.directory, "haproxy.cfg");
  }

  get stateFile(): string {
    return join(this.directory, "state");
  }

  async start(): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "ops-pool-"));
    this.socket = join(this.directory, "s");
    this.port = await freePort();
    await Promise.all(names.map((name) => this.servers[name].start()));
    await writeFile(this.stateFile, "1\n");
    await writeFile(this.file, this.configuration());
    const child = spawn("haproxy", ["-W", "-S", join(this.directory, "m"), "-f", this.file], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        this.said += String(chunk);
      });
    }
    await once(child, "spawn");
    for (let attempt = 0; ; attempt += 1) {
      if (child.exitCode !== null || attempt > 200) throw new Error(`haproxy did not start: ${this.said}`);
      const state = await readBackend(this.socket, "web").catch(() => undefined);
      if (state?.servers.every(({ check }) => check.startsWith("L7OK"))) return;
      await delay(50);
    }
  }

  /** The process id of HAProxy's master. */
  get master(): number {
    return this.child?.pid ?? 0;
  }

  configurationSettings(): object {
    return {
      file: this.file,
      "master-socket": join(this.directory, "m"),
      "state-file": this.stateFile,
    };
  }

  /** As `.opsrc` would name it. */
  settings(extra: object = {}, configuration: object = {}): object {
    const own = { ...this.configurationSettings(), ...configuration };
    return { pools: { web: { socket: this.socket, backend: "web", configuration: own, ...extra } } };
  }

  async command(words: string): Promise<string> {
    return runtimeCommand(this.socket, words);
  }

  /** All servers as they began. */
  async reset(): Promise<void> {
    for (const name of names) {
      await this.command(`set weight web/${name} 100; set server web/${name} state ready`);
    }
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const { servers } = await readBackend(this.socket, "web");
      if (servers.every(({ health, sessions }) => health === "up" && sessions === 0)) return;
      await delay(50);
    }
    throw new Error("the servers did not come back");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    await Promise.all(names.map((name) => this.servers[name].kill()));
    await rm(this.directory, { recursive: true, force: true });
  }

  private configuration(): string {
    const lines = names.map((name) => `  server ${name} 127.0.0.1:${this.servers[name].port} weight 100\n`);
    return `global
  stats socket ${this.socket} level admin mode 600
  server-state-file ${this.stateFile}
  hard-stop-after 5s
defaults
  mode http
  timeout connect 500ms
  timeout client 10s
  timeout server 10s
  load-server-state-from-file global
frontend public
  bind 127.0.0.1:${this.port}
  option idle-close-on-response
  default_backend web
backend web
  # ops:begin web
  balance roundrobin
  # ops:end web
  option httpchk GET /health
  option redispatch 1
  default-server check inter 200ms fall 2 rise 1
${lines.join("")}backend other
  server a 127.0.0.1:${this.servers.a.port} weight 10
`;
  }
}

export async function startPoolBalancer(): Promise<PoolBalancer> {
  const balancer = new PoolBalancer();
  try {
    await balancer.start();
    return balancer;
  } catch (error) {
    await balancer[Symbol.asyncDispose]();
    throw error;
  }
}
