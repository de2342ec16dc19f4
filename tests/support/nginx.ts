import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { init } from "../../src/traffic/init.ts";
import { perform, testContext } from "./context.ts";
import { Backend, freePort, request } from "./haproxy.ts";

/** A real nginx in front of two backends, blue (everything) and green, whose split is in a file that ops made. */
export class Nginx implements AsyncDisposable {
  readonly blue = new Backend("blue");
  readonly green = new Backend("green");
  directory = "";
  /** The owned file. */
  file = "";
  port = 0;
  private statusPort = 0;
  private child: ChildProcess | undefined;
  private readonly split: "upstream" | "clients";
  private readonly mirrors: boolean;

  /** @param mirrors whether its own configuration sends copies where the route's file says */
  constructor(split: "upstream" | "clients", mirrors: boolean) {
    this.split = split;
    this.mirrors = mirrors;
  }

  async start(): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "ops-nginx-"));
    this.file = join(this.directory, "web.conf");
    [this.port, this.statusPort] = [await freePort(), await freePort()];
    await Promise.all([this.blue.start(), this.green.start()]);
    await perform(init, testContext(this.settings()), { version: "blue" });
    await writeFile(join(this.directory, "nginx.conf"), this.configuration());
    await this.run();
  }

  async run(): Promise<void> {
    const child = spawn(program, this.options, { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
    await once(child, "spawn");
    for (let attempt = 0; ; attempt += 1) {
      if (child.exitCode !== null || attempt > 100) throw new Error(`nginx did not start: ${said}`);
      if ((await request(this.port)).status === 200) return;
      await delay(50);
    }
  }

  /** The master and its workers; SIGQUIT would wait for connections. */
  async stop(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  }

  /** As `.opsrc` would name it. */
  settings(extra: object = {}): object {
    const { blue, green, split } = this;
    const own =
      split === "upstream"
        ? {
            upstream: "web",
            "server-parameters": "max_fails=0",
            versions: { blue: `127.0.0.1:${blue.port}`, green: `127.0.0.1:${green.port}` },
          }
        : { variable: "web", key: "$arg_user", versions: { blue: "to_blue", green: "to_green" } };
    return {
      routes: {
        web: {
          driver: "nginx",
          file: this.file,
          status: `127.0.0.1:${this.statusPort}`,
          test: [program, ...this.options, "-t"],
          reload: [program, ...this.options, "-s", "reload"],
          ...own,
          ...extra,
        },
      },
    };
  }

  async reload(): Promise<void> {
    const child = spawn(program, [...this.options, "-s", "reload"], { stdio: "ignore" });
    await once(child, "exit");
  }

  /** Everything that is not the route's. */
  async rest(): Promise<string> {
    return readFile(join(this.directory, "nginx.conf"), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Promise.all([this.blue.kill(), this.green.kill()]);
    await rm(this.directory, { recursive: true, force: true });
  }

  private get options(): string[] {
    return ["-p", this.directory, "-c", "nginx.conf"];
  }

  private configuration(): string {
    const { blue, green, split } = this;
    const place = split === "upstream" ? "http://web" : "http://$web";
    const groups = `
  upstream to_blue { server 127.0.0.1:${blue.port}; }
  upstream to_green { server 127.0.0.1:${green.port}; }`;
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    return `daemon off;
pid ${this.directory}/pid;
error_log ${this.directory}/error.log;
worker_processes 2;
events { worker_connections 2048; }
http {
  log_format ops '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time "$upstream_addr" "$upstream_status"';
  log_format json escape=json '{"request":"$request","upstream":"$upstream_addr","status":"$status","tried":"$upstream_status","seconds":"$request_time"}';
  access_log ${this.directory}/access.log ops;
  access_log ${this.directory}/access.json json;
${folders.map((each) => `  ${each}_temp_path ${this.directory}/${each};`).join("\n")}
  include web.conf;${split === "clients" ? groups : ""}
  server {
    listen 127.0.0.1:${this.port};
    location = /old { proxy_pass http://127.0.0.1:${blue.port}; }
    location / { ${this.mirrors ? "mirror /copy; " : ""}proxy_pass ${place}; }${
      this.mirrors
        ? `
    location = /copy {
      internal;
      if ($ops_mirror_web = "") { return 204; }
      proxy_pass http://$ops_mirror_web$request_uri;
    }`
        : ""
    }
  }
}
`;
  }
}

/** Debian's is where a user's PATH may not reach. */
const program = existsSync("/usr/sbin/nginx") ? "/usr/sbin/nginx" : "nginx";

export async function startNginx(split: "upstream" | "clients", mirrors = false): Promise<Nginx> {
  const nginx = new Nginx(split, mirrors);
  try {
    await nginx.start();
    return nginx;
  } catch (error) {
    await nginx[Symbol.asyncDispose]();
    throw error;
  }
}
