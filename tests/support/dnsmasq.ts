import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { queryDns } from "../../src/dns/query.ts";

export interface DnsmasqOptions {
  /** Of the loopback network: 127.0.0.1, 127.0.0.2, … */
  readonly address: string;
  readonly port: number;
  /** Its records: `host-record=app.ops.test,10.0.0.1,300`, as in dnsmasq.conf. */
  readonly records: readonly string[];
}

/** A real DNS server for the zone ops.test, which knows nothing else and asks nobody. */
export class Dnsmasq implements AsyncDisposable {
  readonly server: { readonly address: string; readonly port: number };
  private readonly child: ChildProcess;

  private constructor({ address, port }: DnsmasqOptions, child: ChildProcess) {
    this.server = { address, port };
    this.child = child;
  }

  static async start(options: DnsmasqOptions): Promise<Dnsmasq> {
    const child = spawn(
      "dnsmasq",
      [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--log-facility=-",
        "--no-resolv",
        "--no-hosts",
        "--local=/ops.test/",
        "--bind-interfaces",
        `--listen-address=${options.address}`,
        `--port=${options.port}`,
        `--user=${userInfo().username}`,
        ...options.records.map((each) => `--${each}`),
      ],
      { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }, stdio: ["ignore", "ignore", "pipe"] },
    );
    const dnsmasq = new Dnsmasq(options, child);
    let said = "";
    child.stderr?.on("data", (chunk) => (said += String(chunk)));
    await once(child, "spawn");
    for (let attempt = 0; ; attempt += 1) {
      const asked = queryDns(dnsmasq.server, { name: "ops.test", type: "SOA" }, { timeout: 200 });
      if (await asked.then(Boolean, () => false)) return dnsmasq;
      if (child.exitCode !== null || attempt > 100) {
        await dnsmasq[Symbol.asyncDispose]();
        throw new Error(`dnsmasq did not start: ${said}`);
      }
      await delay(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
}
