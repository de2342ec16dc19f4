import type { OperationContext } from "./context.ts";

/** Waits where nothing is under way: the first Ctrl-C ends it as a safe point, the second one at once. */
export async function pause(context: OperationContext, ms: number): Promise<void> {
  context.safePoint();
  try {
    await context.clock.sleep(ms, AbortSignal.any([context.signal, context.stop]));
  } catch (error) {
    context.signal.throwIfAborted();
    context.safePoint();
    throw error;
  }
}
