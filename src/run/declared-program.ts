import { createHash } from "node:crypto";
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

/** What a program came to, and the digest of all that it wrote to its standard output, byte by byte. */
export interface DeclaredResult extends ProgramResult {
  readonly outputDigest: string;
}

/** Whatever its exit code is. Throws `E_CHECK_TIMEOUT` where it does not end in time, and like `runProgram`. */
export async function runDeclared(
  { environment, signal }: Pick<OperationContext, "environment" | "signal">,
  { command, cwd, timeout }: DeclaredProgram,
): Promise<DeclaredResult> {
  const [program = "", ...args] = command;
  const over = timeoutSignal(timeout);
  const hash = createHash("sha256");
  try {
    const result = await runProgram(program, args, {
      onOutput: (chunk) => hash.update(chunk),
      cwd: resolve(environment.directory, cwd ?? "."),
      signal: AbortSignal.any([signal, over]),
    });
    return { ...result, outputDigest: `sha256:${hash.digest("hex")}` };
  } catch (error) {
    if (!over.aborted || signal.aborted) throw error;
    throw new OpsError("E_CHECK_TIMEOUT", `${program} did not end within ${formatDuration(timeout)}`);
  }
}
