import { type ArchivedTable, ArchiveReader } from "../archive/custom-format.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";

/** The rows of every table, as pg_dump reads them out of the restored database. */
export async function dumpedAgain(
  server: DatabaseTarget,
  database: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<readonly ArchivedTable[]> {
  const { major } = await withConnection(server, { signal, database }, async (client) => {
    const { rows } = await client.query<{ major: number }>(
      "SELECT current_setting('server_version_num')::int / 10000 AS major",
    );
    return rows[0] ?? { major: 0 };
  });
  const program = await findProgram("pg_dump", major);
  const environment = { ...(await connectionEnvironment(server)), PGDATABASE: database };
  const args = ["--format=custom", "--compress=0", "--data-only", "--no-password"];
  const dump = new RunningProgram(program, args, environment, signal);
  const archive = new ArchiveReader();
  try {
    for await (const chunk of dump.lentOutput()) {
      archive.write(chunk);
      onBytes(chunk.length);
    }
  } finally {
    await dump.stop();
  }
  return archive.finish();
}
