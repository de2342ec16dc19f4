import { InterruptedError, TerminatedError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";

/**
 * Whether what was given stays where a canary or a ramp was stopped. After a Ctrl-C, once or twice, it does: somebody is there to go
 * on. A process that is told to end, or has lost its terminal, leaves it to nobody: it follows the policy for a crash. Where only the
 * time is over, or it ended by itself, it goes back.
 */
export function staysWhereStopped(
  error: unknown,
  onCrash: "return" | "hold",
  { signal, stop }: Pick<OperationContext, "signal" | "stop">,
): boolean {
  if (error instanceof InterruptedError || signal.reason instanceof InterruptedError)
    return onCrash === "hold" || !(stop.reason instanceof TerminatedError);
  const timedOut = signal.reason instanceof Error && signal.reason.name === "TimeoutError";
  return signal.aborted && !timedOut;
}
