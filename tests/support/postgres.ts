import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, startCluster } from "../../src/postgres/cluster.ts";

/**
 * A PostgreSQL server in a temp folder of its own; `stop` ends it and removes the folder. Without fsync: tests kill
 * processes, they do not cut the power. A test makes its own database in it.
 */
export async function startTestCluster(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "ops-pg-"));
  try {
    const cluster = await startCluster({
      directory: join(folder, "data"),
      settings: { fsync: "off", ...settings },
    });
    return {
      ...cluster,
      stop: async () => {
        await cluster.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
