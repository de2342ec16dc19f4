import { join } from "node:path";
import { serverBinaries } from "../../src/postgres/binaries.ts";
import { runProgram } from "../../src/process/run-program.ts";

/** Runs psql, pg_dump and the like of the server's own version. Returns its output; throws with what it said. */
export async function databaseProgram(
  program: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const file = join(await serverBinaries(), program);
  const { exitCode, stdout, stderr } = await runProgram(file, args, input === undefined ? {} : { input });
  if (exitCode !== 0) throw new Error(`${program} ended with ${exitCode}: ${stderr}`);
  return stdout;
}
