import { z } from "zod";
import { clusterUrl } from "../postgres/cluster.ts";
import { folderState, readPorts, type SandboxPorts } from "./description.ts";
import { type SandboxLayout, shopDatabase } from "./layout.ts";
import { type ProcessName, processNames, runningProcesses } from "./processes.ts";
import { shopAnswers } from "./shop-database.ts";

export const statusSchema = z.object({
  directory: z.string(),
  /** `broken`: some of it runs, or none of it, but the folder is there. */
  state: z.enum(["absent", "up", "broken"]),
  config: z.string().nullable(),
  processes: z.array(
    z.object({
      name: z.enum(processNames),
      pid: z.number().nullable(),
      port: z.number(),
      health: z.enum(["healthy", "unhealthy", "stopped"]),
    }),
  ),
  urls: z
    .object({
      application: z.string(),
      blue: z.string(),
      green: z.string(),
      statistics: z.string(),
      database: z.string(),
    })
    .nullable(),
});
export type SandboxStatus = z.output<typeof statusSchema>;

export function urlsOf(ports: SandboxPorts): NonNullable<SandboxStatus["urls"]> {
  const at = (port: number) => `http://127.0.0.1:${port}/`;
  return {
    application: at(ports.web),
    blue: at(ports.blue),
    green: at(ports.green),
    statistics: at(ports.statistics),
    database: clusterUrl(ports.database, shopDatabase),
  };
}

/** What is there now, each process asked whether it works. */
export async function sandboxStatus(layout: SandboxLayout): Promise<SandboxStatus> {
  const { directory } = layout;
  const ports = (await folderState(layout)) === "sandbox" ? await readPorts(layout) : undefined;
  if (ports === undefined) return { directory, state: "absent", config: null, processes: [], urls: null };
  const running = await runningProcesses(layout);
  const processes = await Promise.all(
    processNames.map(async (name) => {
      const pid = running.find((each) => each.name === name)?.pid ?? null;
      const health =
        pid === null
          ? ("stopped" as const)
          : (await works(name, ports))
            ? ("healthy" as const)
            : ("unhealthy" as const);
      return { name, pid, port: name === "balancer" ? ports.web : ports[name], health };
    }),
  );
  const state = processes.every((each) => each.health === "healthy") ? "up" : "broken";
  return { directory, state, config: layout.config, processes, urls: urlsOf(ports) };
}

async function works(name: ProcessName, ports: SandboxPorts): Promise<boolean> {
  switch (name) {
    case "database":
      return shopAnswers(ports.database);
    case "balancer":
      return answers(`http://127.0.0.1:${ports.statistics}/`);
    case "blue":
    case "green":
      return answers(`http://127.0.0.1:${ports[name]}/health`);
  }
}

/** Whether a GET is answered with 200 within two seconds. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    // Refused, broken or too slow: the answer is no.
    return false;
  }
}

export function renderStatus(status: SandboxStatus): string {
  if (status.urls === null) {
    return `No sandbox in ${status.directory}\n\nStart one:  ops sandbox up`;
  }
  const lines = status.processes.map(
    (each) => `  ${each.name.padEnd(10)} ${each.health.padEnd(10)} port ${each.port}  pid ${each.pid ?? "-"}`,
  );
  const urls = Object.entries(status.urls).map(([name, url]) => `  ${name.padEnd(12)} ${url}`);
  const next =
    status.state === "up"
      ? ["Next:", `  export OPS_CONFIG=${status.config}`, "  ops migrate status"]
      : ["Some of it does not work. Make it anew:", `  ops sandbox up --dir ${status.directory}`];
  return [`Sandbox ${status.directory}: ${status.state}`, ...lines, "", ...urls, "", ...next].join("\n");
}
