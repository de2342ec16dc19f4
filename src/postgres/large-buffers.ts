import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";

/**
 * stdio gives a pipe a buffer of 4 KiB, so pg_dump writes 256 times for each MiB, and whoever reads is woken as often.
 * coreutils' stdbuf starts a program with larger ones. docs/decisions/0033-what-a-backup-costs.md has the measure.
 */
const stdbuf = ["stdbuf", "--input=256K", "--output=256K"];
let found: Promise<readonly string[]> | undefined;

/** What to put before a program and its arguments; nothing where stdbuf is missing or does not work. */
export function largeBuffers(): Promise<readonly string[]> {
  found ??= works().then((does) => (does ? stdbuf : []));
  return found;
}

async function works(): Promise<boolean> {
  if (process.platform !== "linux") return false;
  const [file = "", ...options] = stdbuf;
  try {
    const { exitCode, stderr } = await runProgram(file, [...options, "true"]);
    return exitCode === 0 && stderr === "";
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_PROGRAM_MISSING") return false;
    throw error;
  }
}
