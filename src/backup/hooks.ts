import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";

const command = (when: string) =>
  z
    .array(z.string().min(1, "must not be empty"))
    .min(1, "must not be empty")
    .optional()
    .describe(`Program to run ${when}, with its arguments; no shell reads them`);

/** Programs of the user's around a backup. */
export const hookFields = {
  before: command("before the dump; where it fails, nothing is dumped"),
  after: command("after the dump, also after one that failed (OPS_BACKUP_STATUS: complete, failed)"),
};

export interface HookFacts {
  readonly id: string;
  readonly database: string;
  readonly status: "begin" | "complete" | "failed";
}

/** How long the hook after a backup that was stopped at once may take, in milliseconds. */
const stoppedTime = 60_000;

/** Throws `E_HOOK` where the program fails. The hook after a backup runs also where the run was stopped. */
export async function runHook(
  context: OperationContext,
  which: "before" | "after",
  argv: readonly string[] | undefined,
  facts: HookFacts,
  report: Report,
): Promise<void> {
  const [file, ...args] = argv ?? [];
  if (file === undefined) return;
  report.progress({ message: `running the hook ${which}` });
  const { exitCode } = await runProgram(file, args, {
    cwd: context.environment.directory,
    signal: which === "after" && context.signal.aborted ? AbortSignal.timeout(stoppedTime) : context.signal,
    env: {
      OPS_BACKUP_ID: facts.id,
      OPS_BACKUP_DATABASE: facts.database,
      OPS_BACKUP_STATUS: facts.status,
    },
    onLine: (line) => report.log(`${which}: ${line}`),
  });
  if (exitCode === 0) return;
  throw new OpsError("E_HOOK", `The hook "${which}" (${file}) ended with exit code ${exitCode}`, {
    hint: which === "before" ? "nothing was dumped; mend it and run it again" : "see what it wrote above",
  });
}
