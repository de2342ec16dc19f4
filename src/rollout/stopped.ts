import { InterruptedError, TerminatedError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";

/** Whether it was interrupted that ended a canary or a ramp, once or twice. */
export function isInterruption(error: unknown, { signal }: Pick<OperationContext, "signal">): boolean {
  return error instanceof InterruptedError || signal.reason instanceof InterruptedError;
}

/**
 * Whether what was given stays where it was interrupted. After a Ctrl-C it does: somebody is there to go on. A process that is told to
 * end, or has lost its terminal, leaves it to nobody: it follows the policy for a crash.
 */
export function staysInterrupted(
  onCrash: "return" | "hold",
  { stop }: Pick<OperationContext, "stop">,
): boolean {
  return onCrash === "hold" || !(stop.reason instanceof TerminatedError);
}
