import { spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../../src/postgres/cluster.ts";
import { serverUser } from "../../src/postgres/unprivileged.ts";
import { freePort } from "../../src/process/free-port.ts";

export interface Pooler extends AsyncDisposable {
  readonly port: number;
  /** Through the pooler, as the cluster's superuser. */
  url(database: string): string;
}

export interface PoolerOptions {
  /** Default: `transaction`, where each transaction of a client may meet another server session. */
  readonly mode?: "session" | "transaction" | "statement";
  /** Server connections for each database. Default: 4. */
  readonly poolSize?: number;
  /** Lines for the section [pgbouncer]. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A real PgBouncer in front of a cluster, with its own settings but for the pool: what it refuses, it refuses here. */
export async function startPooler(cluster: Cluster, options: PoolerOptions = {}): Promise<Pooler> {
  const folder = await mkdtemp(join(tmpdir(), "ops-pb-"));
  const configuration = join(folder, "pgbouncer.ini");
  const user = await serverUser(folder);
  const port = await freePort();
  const { mode = "transaction", poolSize = 4, settings = {} } = options;
  const lines = Object.entries({
    listen_addr: "127.0.0.1",
    listen_port: String(port),
    unix_socket_dir: "",
    auth_type: "trust",
    auth_file: join(folder, "users"),
    pool_mode: mode,
    default_pool_size: String(poolSize),
    max_client_conn: "200",
    server_check_delay: "0",
    ...settings,
  }).map(([name, value]) => `${name} = ${value}`);
  await writeFile(
    configuration,
    `[databases]\n* = host=127.0.0.1 port=${cluster.port}\n[pgbouncer]\n${lines.join("\n")}\n`,
  );
  await writeFile(join(folder, "users"), '"postgres" ""\n');
  if (user.owner !== undefined) await chown(folder, user.owner.uid, user.owner.gid);

  const [file = "", ...args] = [...user.prefix, "pgbouncer", configuration];
  const child = spawn(file, args, {
    cwd: "/",
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const end = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await once(child, "spawn");
    for (let attempt = 0; !(await answers(port)); attempt += 1) {
      if (child.exitCode !== null || attempt > 100) throw new Error(`pgbouncer did not start: ${said}`);
      await delay(50);
    }
  } catch (error) {
    await end();
    throw error;
  }
  return {
    port,
    url: (database) => `postgresql://postgres@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    [Symbol.asyncDispose]: end,
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
