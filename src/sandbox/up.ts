import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { OpsError } from "../core/errors.ts";
import { startCluster } from "../postgres/cluster.ts";
import { runProgram } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { balancerConfig, checkSocketPath } from "./balancer-config.ts";
import { configText } from "./config-text.ts";
import { choosePorts, type SandboxPorts, writeDescription } from "./description.ts";
import { packageRoot, type SandboxLayout, sampleApp } from "./layout.ts";
import { markerEnvironment, startTime } from "./process-table.ts";
import { endedEarly, lastLines, type ProcessName, recordProcesses, startDetached } from "./processes.ts";
import { createShop, keepPristineShop } from "./shop-database.ts";
import { answers, urlsOf } from "./status.ts";

const readyTimeoutMs = 20_000;

/** The sample application's schema before the deploy that the runbooks show. */
const firstMigration = "0001";

/** Starts a sandbox in a folder where there is none. A crash at any point leaves what `takeDown` removes. */
export async function bringUp(
  context: OperationContext,
  layout: SandboxLayout,
  report: Report,
): Promise<void> {
  checkSocketPath(layout);
  const ports = await choosePorts();
  await writeDescription(layout, ports);
  report.progress({ message: "starting PostgreSQL and the sample application" });
  await writeConfiguration(layout, ports);
  context.safePoint();

  const [database, blue, green] = await Promise.all([
    startDatabase(context, layout, ports),
    startApplication(layout, ports, "blue", 1),
    startApplication(layout, ports, "green", 2),
  ]);
  context.safePoint();
  report.progress({ message: `migrating the database to ${firstMigration}` });
  await createShop(ports.database);
  await migrate(context, layout);
  await keepPristineShop(ports.database);
  context.safePoint();

  report.progress({ message: "starting HAProxy" });
  const { application, statistics, ...urls } = urlsOf(ports);
  await Promise.all([
    untilAnswers(context, layout, "blue", blue, `${urls.blue}health`),
    untilAnswers(context, layout, "green", green, `${urls.green}health`),
  ]);
  // Only now, with both servers healthy: its checks then never see one DOWN.
  const balancer = await startDetached(layout, "balancer", "haproxy", ["-db", "-f", layout.balancerConfig]);
  await untilAnswers(context, layout, "balancer", balancer, statistics);
  await untilAnswers(context, layout, "balancer", balancer, application);
  await recordProcesses(layout, { database, balancer, blue, green });
}

async function writeConfiguration(layout: SandboxLayout, ports: SandboxPorts): Promise<void> {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  await mkdir(layout.backups, { recursive: true });
  await writeFile(layout.identity, `# public key: ${recipient}\n${identity}\n`, { mode: 0o600 });
  await writeFile(layout.balancerConfig, balancerConfig(layout, ports));
  await writeFile(layout.config, configText(layout, ports, recipient));
  await copyFile(join(packageRoot, "gates/freezes.yaml"), layout.freezes);
}

async function startDatabase(
  context: OperationContext,
  layout: SandboxLayout,
  ports: SandboxPorts,
): Promise<number> {
  const { pid } = await startCluster({
    directory: layout.cluster,
    port: ports.database,
    env: markerEnvironment(layout),
    // Throw-away data: it must outlive a killed process, not a power cut.
    settings: { fsync: "off" },
    signal: context.signal,
  });
  return pid;
}

function startApplication(
  layout: SandboxLayout,
  ports: SandboxPorts,
  name: "blue" | "green",
  version: number,
): Promise<number> {
  return startDetached(layout, name, process.execPath, [sampleApp], {
    VERSION: String(version),
    PORT: String(ports[name]),
    DATABASE_URL: urlsOf(ports).database,
  });
}

/** By the product's own command, as a user would; its run is not part of the sandbox's history. */
async function migrate(context: OperationContext, layout: SandboxLayout): Promise<void> {
  const args = ["migrate", "up", "--to", firstMigration, "--config", layout.config, "--yes"];
  const { exitCode, stderr } = await runProgram(join(packageRoot, "bin", "ops"), args, {
    cwd: layout.directory,
    env: markerEnvironment(layout),
    signal: context.signal,
  });
  if (exitCode !== 0) {
    throw new OpsError("E_SANDBOX_START", "The sample application's database could not be migrated", {
      cause: new Error(stderr.trim()),
      hint: `see why: ops ${args.join(" ")}`,
    });
  }
  await rm(layout.state, { recursive: true, force: true });
}

async function untilAnswers(
  context: OperationContext,
  layout: SandboxLayout,
  name: ProcessName,
  pid: number,
  url: string,
): Promise<void> {
  const deadline = context.clock.elapsed() + readyTimeoutMs;
  while (!(await answers(url))) {
    const ended = (await startTime(pid)) === undefined;
    if (ended || context.clock.elapsed() > deadline) {
      throw endedEarly(layout, name, new Error(await lastLines(layout, name)));
    }
    await context.clock.sleep(25, context.signal);
  }
}
