import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./haproxy.ts";

export interface PrometheusOptions {
  /** What is scraped, as `host:port`. */
  readonly targets: readonly string[];
  /** How often, and how long an answer may take: after a late one the series are gone. Default: 200ms */
  readonly interval?: string;
  /** The file of --web.config.file: TLS and basic authentication. */
  readonly web?: string;
  /** Alerting rules, as in a rule file; evaluated every 200 ms. */
  readonly rules?: readonly object[];
  /** Of a server that is not asked without credentials. Default: http. */
  readonly ready?: (url: string) => Promise<boolean>;
}

/** A real Prometheus in a folder of its own. */
export class TestPrometheus implements AsyncDisposable {
  directory = "";
  port = 0;
  private child: ChildProcess | undefined;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start({
    targets,
    web,
    rules = [],
    interval = "200ms",
    ready = answers,
  }: PrometheusOptions): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "ops-prom-"));
    this.port = await freePort();
    const file = join(this.directory, "prometheus.yml");
    const scrapes = [{ job_name: "web", static_configs: [{ targets }] }];
    const global = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: "1m" };
    const groups = [{ name: "test", interval: "200ms", rules }];
    await writeFile(join(this.directory, "rules.json"), JSON.stringify({ groups }));
    await writeFile(file, JSON.stringify({ global, rule_files: ["rules.json"], scrape_configs: scrapes }));
    const webFile = join(this.directory, "web.yml");
    if (web !== undefined) await writeFile(webFile, web);
    const child = spawn(
      "prometheus",
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(this.directory, "data")}`,
        `--web.listen-address=127.0.0.1:${this.port}`,
        "--log.level=warn",
        // Else it looks for what to scrape every five seconds only.
        "--scrape.discovery-reload-interval=100ms",
        ...(web === undefined ? [] : [`--web.config.file=${webFile}`]),
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.child = child;
    let said = "";
    child.stderr.on("data", (chunk) => (said += String(chunk)));
    await once(child, "spawn");
    for (let attempt = 0; !(await ready(this.url)); attempt += 1) {
      if (child.exitCode !== null || attempt > 300) throw new Error(`prometheus did not start: ${said}`);
      await delay(50);
    }
  }

  /** Whether an expression gives at least one series now. */
  async has(expression: string): Promise<boolean> {
    const query = new URLSearchParams({ query: expression });
    const response = await fetch(`${this.url}/api/v1/query?${query}`);
    return ((await response.json()) as { data: { result: unknown[] } }).data.result.length > 0;
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export async function startPrometheus(options: PrometheusOptions): Promise<TestPrometheus> {
  const prometheus = new TestPrometheus();
  try {
    await prometheus.start(options);
    return prometheus;
  } catch (error) {
    await prometheus[Symbol.asyncDispose]();
    throw error;
  }
}

/** A port that stays free between two servers on it: the kernel gives none from below 32768 to anybody by itself. */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const bound = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!bound) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/-/ready`).catch(() => undefined);
  await response?.arrayBuffer();
  return response?.ok === true;
}
