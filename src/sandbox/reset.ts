import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { runtimeCommand } from "../haproxy/runtime-socket.ts";
import type { OperationContext } from "../run/context.ts";
import { initialWeights } from "./balancer-config.ts";
import { readPorts } from "./description.ts";
import type { SandboxLayout } from "./layout.ts";
import { restoreShop } from "./shop-database.ts";
import { answers, urlsOf } from "./status.ts";

const readyTimeoutMs = 10_000;

/** Back to the state right after `up`, processes and ports kept. Safe to call again after a crash in the middle. */
export async function resetSandbox(context: OperationContext, layout: SandboxLayout): Promise<void> {
  const ports = await readPorts(layout);
  if (ports === undefined) throw notUp(layout);
  const urls = urlsOf(ports);
  await Promise.all([
    restoreShop(ports.database),
    clearFaults(urls.blue),
    clearFaults(urls.green),
    emptyFolder(layout.backups),
    rm(layout.state, { recursive: true, force: true }),
  ]);
  await resetBalancer(layout);
  const deadline = context.clock.elapsed() + readyTimeoutMs;
  while (!(await isReady(layout, urls))) {
    if (context.clock.elapsed() > deadline) throw notUp(layout);
    await context.clock.sleep(25, context.signal);
  }
  await runtimeCommand(layout.balancerSocket, "clear counters all");
}

/** Without a sandbox that runs there is nothing to go back to. */
export function notUp(layout: SandboxLayout): OpsError {
  return new OpsError("E_SANDBOX_NOT_UP", `The sandbox in ${layout.directory} is not up`, {
    hint: `start it: ops sandbox up --dir ${layout.directory}`,
    retryable: false,
  });
}

async function clearFaults(url: string): Promise<void> {
  const response = await fetch(`${url}control`, {
    method: "POST",
    body: JSON.stringify({ failRate: 0, latencyMs: 0 }),
    signal: AbortSignal.timeout(2000),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new OpsError("E_SANDBOX", `${url}control answered ${response.status}`);
}

async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}

async function resetBalancer(layout: SandboxLayout): Promise<void> {
  for (const [server, weight] of Object.entries(initialWeights)) {
    for (const command of [`set weight web/${server} ${weight}`, `set server web/${server} state ready`]) {
      const answer = await runtimeCommand(layout.balancerSocket, command);
      if (answer !== "") throw new OpsError("E_SANDBOX", `HAProxy refused "${command}": ${answer}`);
    }
  }
}

/** Dropping the database may have failed a health check: both servers must be UP again. */
async function isReady(layout: SandboxLayout, urls: { blue: string; green: string; application: string }) {
  const healthy = await Promise.all([urls.blue, urls.green].map((url) => answers(`${url}health`)));
  if (!healthy.every(Boolean)) return false;
  const lines = (await runtimeCommand(layout.balancerSocket, "show servers state web")).split("\n");
  const states = lines.filter((line) => line.includes(" web ")).map((line) => line.split(" ")[5]);
  return states.length === 2 && states.every((state) => state === "2") && (await answers(urls.application));
}
