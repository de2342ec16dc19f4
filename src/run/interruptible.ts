import type { OperationContext } from "./context.ts";

/**
 * Work that may be given up at any moment because nothing half done counts: the first Ctrl-C ends it as an
 * interruption (a resumed run begins it again), the second one and a timeout end it with their own reason.
 */
export async function interruptible<T>(
  context: OperationContext,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  context.signal.throwIfAborted();
  context.safePoint();
  try {
    return await work(AbortSignal.any([context.signal, context.stop]));
  } catch (error) {
    context.signal.throwIfAborted();
    context.safePoint();
    throw error;
  }
}
