import { resolve } from "node:path";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { timeoutSignal } from "../core/timer.ts";
import { type ProgramResult, runProgram } from "../process/run-program.ts";
import type { OperationContext } from "./context.ts";

/** A program as the configuration declares it: a list, which no shell reads. */
export interface DeclaredProgram {
  readonly command: readonly string[];
  /** Relative to the configuration file. */
  readonly cwd?: string | undefined;
  /** Milliseconds */
  readonly timeout: number;
}

/** Whatever its exit code is. Throws `E_CHECK_TIMEOUT` where it does not end in time, and like `runProgram`. */
export async function runDeclared(
  { environment, signal }: Pick<OperationContext, "environment" | "signal">,
  { command, cwd, timeout }: DeclaredProgram,
): Promise<ProgramResult> {
  const [program = "", ...args] = command;
  const over = timeoutSignal(timeout);
  try {
    return await runProgram(program, args, {
      cwd: resolve(environment.directory, cwd ?? "."),
      signal: AbortSignal.any([signal, over]),
    });
  } catch (error) {
    if (!over.aborted || signal.aborted) throw error;
    throw new OpsError("E_CHECK_TIMEOUT", `${program} did not end within ${formatDuration(timeout)}`);
  }
}
