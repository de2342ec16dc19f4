import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { BoundarySeries } from "../../support/boundary-series.ts";
import { bundledProgram } from "../../support/bundled-program.ts";
import type { Boundary } from "../../support/postgres-proxy.ts";
import type { Project } from "./project.ts";

const series = new BoundarySeries();
const runner = bundledProgram(new URL("runner.ts", import.meta.url));

/** `migrate.up` in a process of its own that is killed at the boundary. */
async function upKilledAt(project: Project, boundary: Boundary): Promise<boolean> {
  const { proxy } = series;
  const args = [runner(), "migrate.up", proxy.url(project.databaseName), project.folder, "{}"];
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

test("a runner killed when a statement is done, and has not heard of it, leaves what another run finishes", async () => {
  expect(await series.every("completion", upKilledAt)).toBeGreaterThan(50);
});
