import type { Program } from "../postgres/programs.ts";
import { runProgram } from "../process/run-program.ts";

/** A standby refuses to replay with less than its original had (the manual: Hot Standby, Administrator's Overview). */
export async function standbyMinimums(
  directory: string,
  controldata: Program,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const options = { env: { LC_ALL: "C" }, cwd: "/", signal };
  const { stdout } = await runProgram(controldata.path, [directory], options);
  const names = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_xacts",
    "max_locks_per_xact",
  ];
  return Object.fromEntries(
    names.flatMap((each) => {
      const value = new RegExp(`^${each} setting:\\s*(\\d+)$`, "m").exec(stdout)?.[1];
      const setting = each.replace("xacts", "transactions").replace("xact", "transaction");
      return value === undefined ? [] : [[setting, value] as const];
    }),
  );
}
