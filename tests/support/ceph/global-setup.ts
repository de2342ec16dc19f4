import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** The folder of this run's Ceph, which the first test that needs it starts; and whose end is its end. */
    ceph: { readonly folder: string; readonly owner: number };
  }
}

/** Costs nothing where no test needs Ceph. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Short: sockets are in it.
  const folder = await mkdtemp(join("/tmp", "ops-ceph-"));
  project.provide("ceph", { folder, owner: process.pid });
  return async () => {
    const keeper = await readFile(join(folder, "keeper.pid"), "utf8").catch(() => undefined);
    if (keeper !== undefined) await ended(Number(keeper));
    await rm(folder, { recursive: true, force: true });
  };
}

async function ended(pid: number): Promise<void> {
  try {
    process.kill(pid, "SIGTERM");
    for (;;) {
      process.kill(pid, 0);
      await delay(50);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
