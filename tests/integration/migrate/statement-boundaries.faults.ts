import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { mixed, remains } from "../../support/mixed-migrations.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { type Boundary, PostgresProxy } from "../../support/postgres-proxy.ts";
import { Project, up } from "./project.ts";

let cluster: Cluster;
let proxy: PostgresProxy;
let undisturbed: object;

beforeAll(async () => {
  cluster = await startTestCluster();
  proxy = await PostgresProxy.start(cluster.port);
  await using project = await Project.create(cluster, mixed);
  await perform(up, project.context(), {});
  undisturbed = await remains(project);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await cluster.stop();
});

const runner = fileURLToPath(new URL("runner.ts", import.meta.url));

/** `migrate.up` in a process of its own that is killed at the boundary. False where its run has fewer of them. */
async function upKilledAt(project: Project, boundary: Boundary): Promise<boolean> {
  const args = [runner, "migrate.up", proxy.url(project.databaseName), project.folder, "{}"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = once(child, "exit");
  proxy.arm(boundary, async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const [code] = await exited;
  if (!proxy.fired) expect(code, said).toBe(0);
  return proxy.fired;
}

/** The same in this process, whose connection is cut there. */
async function upCutAt(project: Project, boundary: Boundary): Promise<boolean> {
  proxy.arm(boundary);
  const context = project.context("run-1", proxy.url(project.databaseName));
  const ended = await perform(up, context, {}).catch((error: unknown) => error);
  if (proxy.fired && ended instanceof Error) {
    expect(ended).toMatchObject({
      code: expect.stringMatching(/^E_(CONNECTION_LOST|DATABASE_UNREACHABLE|MIGRATION_LOCK_LOST)$/),
    });
  } else {
    expect(ended).toMatchObject({ output: { current: "0006" } });
  }
  return proxy.fired;
}

/** At every boundary in turn, until a run is over before it comes. */
async function atEveryBoundary(
  event: Boundary["event"],
  disturb: (project: Project, boundary: Boundary) => Promise<boolean>,
): Promise<number> {
  for (let number = 1; ; number += 1) {
    await using project = await Project.create(cluster, mixed);
    const disturbed = await disturb(project, { event, number });
    await perform(up, project.context("run-2"), {});
    expect(await remains(project), `${event} ${number}`).toEqual(undisturbed);
    if (!disturbed) return number - 1;
  }
}

describe.each(["request", "completion"] as const)("at every %s of a run", (event) => {
  test("a runner killed there leaves what another run finishes, as if nothing had happened", async () => {
    expect(await atEveryBoundary(event, upKilledAt)).toBeGreaterThan(20);
  });

  test("a connection cut there leaves what another run finishes, as if nothing had happened", async () => {
    expect(await atEveryBoundary(event, upCutAt)).toBeGreaterThan(20);
  });
});
