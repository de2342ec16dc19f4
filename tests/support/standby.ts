import { appendFile, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, startCluster } from "../../src/postgres/cluster.ts";
import { findProgram } from "../../src/postgres/programs.ts";
import { serverUser } from "../../src/postgres/unprivileged.ts";
import { runProgram } from "../../src/process/run-program.ts";

/**
 * A standby that streams from a cluster, made by the stock program; `stop` ends it and removes its folder.
 *
 * @param name its application_name
 * @param settings those of the primary that a standby must have as large
 */
export async function startStandby(
  primary: Cluster,
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "ops-standby-"));
  try {
    const directory = join(folder, "data");
    const { path } = await findProgram("pg_basebackup", 15);
    await runProgram(path, [
      ...["-D", directory, "-h", "127.0.0.1", "-p", String(primary.port), "-U", "postgres"],
      ...["-X", "stream", "-c", "fast", "--no-sync"],
    ]);
    await writeFile(join(directory, "standby.signal"), "");
    await appendFile(
      join(directory, "postgresql.auto.conf"),
      `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres application_name=${name}'\n`,
    );
    const { owner } = await serverUser(directory);
    if (owner !== undefined) {
      await chown(folder, owner.uid, owner.gid);
      await runProgram("chown", ["-R", `${owner.uid}:${owner.gid}`, directory]);
    }
    const cluster = await startCluster({ directory, settings: { fsync: "off", ...settings } });
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
