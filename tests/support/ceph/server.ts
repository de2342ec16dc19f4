import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../../../src/process/free-port.ts";

const run = promisify(execFile);

export interface CephServer {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** `https://127.0.0.1:PORT` */
  readonly secureEndpoint: string;
  /** File of the certificate that it shows there, its own authority. */
  readonly certificate: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** The key that the gateway knows for `aws:kms`. */
export const kmsKey = "testkey-1";

/**
 * A Ceph cluster of one monitor, one OSD that keeps its objects in memory, and an S3 gateway; without a manager, which
 * only tells of the cluster. All files are in the folder, all ports are free ones of the loopback. The daemons are
 * children of this process.
 */
export class Ceph {
  private readonly folder: string;
  private readonly daemons: ChildProcess[] = [];

  /** @param folder a short path, since sockets are in it (at most 107 bytes) */
  constructor(folder: string) {
    this.folder = folder;
  }

  async start(): Promise<CephServer> {
    const [monitorPort, gatewayPort, securePort] = [await freePort(), await freePort(), await freePort()];
    const [fsid, osd] = [randomUUID(), randomUUID()];
    for (const name of ["mon", "osd", "rgw", "run"]) await mkdir(join(this.folder, name));
    const configuration = this.configuration(fsid, monitorPort, gatewayPort, securePort);
    await writeFile(join(this.folder, "ceph.conf"), configuration);
    await this.makeKeys();
    await this.makeCertificate();
    const map = join(this.folder, "monmap");
    const address = `[v2:127.0.0.1:${monitorPort}]`;
    await this.command("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, map);
    await this.command("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", this.keyring);
    this.daemon("ceph-mon", "-i", "a");
    await this.command("ceph", "osd", "new", osd);
    await this.command("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    this.daemon("ceph-osd", "-i", "0");
    this.daemon("radosgw", "-n", "client.admin");
    const endpoint = `http://127.0.0.1:${gatewayPort}`;
    await this.answering(endpoint);
    const [accessKey, secretKey] = ["OPSTESTACCESSKEY", "ops-test-secret-key-0123456789abcdef"];
    const keys = ["--access-key", accessKey, "--secret-key", secretKey];
    await this.command("radosgw-admin", "user", "create", "--uid", "ops", "--display-name", "ops", ...keys);
    const { certificate } = this;
    return { endpoint, secureEndpoint: `https://127.0.0.1:${securePort}`, certificate, accessKey, secretKey };
  }

  async stop(): Promise<void> {
    for (const daemon of this.daemons.splice(0).reverse()) await end(daemon, "SIGKILL");
  }

  private get keyring(): string {
    return join(this.folder, "keyring");
  }

  private get certificate(): string {
    return join(this.folder, "certificate.pem");
  }

  private async makeCertificate(): Promise<void> {
    const files = ["-keyout", join(this.folder, "key.pem"), "-out", this.certificate];
    const subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"];
    await this.command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...subject);
  }

  private async makeKeys(): Promise<void> {
    const all = "allow *";
    const entities: [name: string, ...caps: string[]][] = [
      ["mon.", "--cap", "mon", all],
      ["client.admin", "--cap", "mon", all, "--cap", "osd", all],
      ["osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", all],
    ];
    await this.command("ceph-authtool", "--create-keyring", this.keyring);
    for (const [name, ...caps] of entities) {
      await this.command("ceph-authtool", this.keyring, "--gen-key", "-n", name, ...caps);
    }
  }

  private async command(program: string, ...args: string[]): Promise<void> {
    await run(program, args, { env: this.environment(), timeout: 60_000 });
  }

  private daemon(program: string, ...args: string[]): ChildProcess {
    const log = openSync(join(this.folder, `${program}.out`), "a");
    const child = spawn(program, ["-f", ...args], { env: this.environment(), stdio: ["ignore", log, log] });
    this.daemons.push(child);
    return child;
  }

  private environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      CEPH_CONF: join(this.folder, "ceph.conf"),
      PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    };
  }

  private async answering(endpoint: string): Promise<void> {
    for (const deadline = Date.now() + 90_000; ; ) {
      const answered = await fetch(endpoint).then(
        () => true,
        () => false,
      );
      if (answered) return;
      const dead = this.daemons.find((each) => each.exitCode !== null || each.signalCode !== null);
      if (dead !== undefined || Date.now() > deadline) {
        const program = dead?.spawnfile ?? "radosgw";
        const said = await readFile(join(this.folder, `${program.split("/").at(-1)}.out`), "utf8");
        throw new Error(`Ceph did not start; ${program} said: ${said.slice(-2000)}`);
      }
      await delay(100);
    }
  }

  private configuration(fsid: string, monitorPort: number, gatewayPort: number, securePort: number): string {
    const { folder } = this;
    return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitorPort}]
public addr = 127.0.0.1
keyring = ${folder}/keyring
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 8589934592
mon data avail crit = 1
mon data avail warn = 2
osd memory target = 939524096
run dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
pid file = ${folder}/run/$name.pid
log file = ${folder}/$name.log
[mon.a]
mon data = ${folder}/mon
[osd.0]
osd data = ${folder}/osd
[client.admin]
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} ssl_endpoint=127.0.0.1:${securePort} ssl_certificate=${this.certificate} ssl_private_key=${folder}/key.pem
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = ${kmsKey}=${Buffer.alloc(32, 7).toString("base64")}
rgw gc obj min wait = 1
rgw gc processor period = 5
`;
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}
